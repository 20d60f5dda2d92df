"""Settles messages that the Azure Functions host has received, and whose locks it holds.

The host can settle a message in two ways only. When the function returns, the message is completed; when it raises, the
message is delivered again at once, and becomes a dead letter after too many deliveries. The other settlements are made
of these two and of copies, in an order that may repeat a message and never loses one:

- *retry later*: send a scheduled copy that counts the attempts, then return;
- *dead letter*: send a copy that carries the reason, then return. A function that receives such a copy raises until the
  service makes a dead letter of it.

Triggers take single messages, because the host would deliver a whole batch again for one that failed.
Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus-trigger#peeklock-behavior
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from azure_bridge.errors import BridgeError
from azure_bridge.queues.contract import MessageQueue, ReceivedMessage
from azure_bridge.queues.service_bus_messages import received_by_host, verdict_on
from azure_bridge.redaction import redact
from azure_bridge.settlement import Complete, DeadLetter, RetryLater, Settlement

if TYPE_CHECKING:
    import azure.functions as func

_Result = TypeVar("_Result")

#: How long a message is kept after a failure that is not its fault; otherwise it would use up its deliveries at once.
HOLD = timedelta(minutes=1)
#: How many holds a message waits for an app that cannot work yet, before that costs one of its deliveries. The host
#: lets a function run, and renews the lock of its message, for ten minutes.
PATIENCE = 5


class SetAsideError(BridgeError):
    """Raised so that the host delivers a message again, until it becomes a dead letter."""


class NotAtServiceBusError(BridgeError):
    """The configured queue is the embedded one, although the function received its message from Service Bus."""


@runtime_checkable
class HostedQueue(Protocol):
    """What a queue must be able to do for messages whose locks a host holds."""

    def send_scheduled_copy(self, message: ReceivedMessage, delay: timedelta) -> None: ...
    def send_set_aside(self, message: ReceivedMessage, reason: str, description: str = "") -> None: ...


class HostedMessages:
    """Processes messages in threads, up to ``at_once`` of them at the same time.

    ``queue`` and ``decide`` are called for the first time when there is a message. ``hold`` is how long a message is
    kept from the host after a failure that is not its fault. If the queue cannot be opened, because the settings are
    wrong or the vault is away, that is tried :data:`PATIENCE` times, with a hold after each.
    """

    def __init__(
        self,
        queue: Callable[[], MessageQueue],
        decide: Callable[[ReceivedMessage], Settlement],
        *,
        at_once: int,
        hold: timedelta = HOLD,
    ) -> None:
        self._queue = queue
        self._decide = decide
        self._threads = ThreadPoolExecutor(at_once, "hosted")
        self._hold = hold.total_seconds()

    async def work_on(self, message: func.ServiceBusMessage) -> None:
        """Process a message. Returns when the host is to complete it.

        Raises:
          SetAsideError: it is to become a dead letter.
          Exception: it is to be delivered again.
        """
        verdict = verdict_on(message)
        if verdict is not None:
            raise SetAsideError(redact(verdict))
        queue = await self._patiently_opened()
        try:
            await self._in_thread(lambda: self._converge(queue, received_by_host(message)))
        except Exception:
            await asyncio.sleep(self._hold)
            raise

    async def _patiently_opened(self) -> HostedQueue:
        for _ in range(PATIENCE):
            try:
                return await self._in_thread(self._opened)
            except Exception:
                await asyncio.sleep(self._hold)
        return await self._in_thread(self._opened)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _opened(self) -> HostedQueue:
        queue = self._queue()
        if not isinstance(queue, HostedQueue):
            raise NotAtServiceBusError(
                f"Queue {queue.name} is the embedded one, and this message came from Service Bus: set "
                "SERVICEBUS__fullyQualifiedNamespace or SERVICEBUS_CONNECTION_STRING."
            )
        return queue

    def _converge(self, queue: HostedQueue, message: ReceivedMessage) -> None:
        match self._decide(message):
            case Complete():
                return
            case RetryLater(delay=delay):
                queue.send_scheduled_copy(message, delay)
            case DeadLetter(reason=reason, description=description):
                queue.send_set_aside(message, reason, description)
