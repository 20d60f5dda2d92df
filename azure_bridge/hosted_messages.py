"""Messages that Azure Functions' host has received: how they end, when somebody else holds their locks.

The host knows two endings: a function that returns completes its message, one that raises gives it back at once, and
the service makes a dead letter of what was given back too often. There is no third; the ones we need are made of these
two and of copies, in the order that can repeat a message and cannot lose one:

- *again later* is a scheduled copy that counts the attempts, then a return;
- *set aside* is a copy that says why, then a return. Whoever gets that copy raises, until the service sets it aside.

Triggers are bound to single messages, because the host gives back a batch whole, the innocent with the guilty.
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

#: What fails for no fault of its message fails ten times at once, were it not held on to for a while.
HOLD = timedelta(minutes=1)
#: How many holds a message waits for an app that cannot work yet, before one of its deliveries is spent on that. A host
#: lets a function run, and renews the lock of its message, for ten minutes.
PATIENCE = 5


class SetAsideError(BridgeError):
    """Raised to the host, so that it gives back a message that is to become a dead letter."""


class NotAtServiceBusError(BridgeError):
    """The queue is not Service Bus's: a function has got a message that no queue of ours can have sent."""


@runtime_checkable
class HostedQueue(Protocol):
    """What a queue must be able to do for messages whose locks a host holds."""

    def send_put_off(self, message: ReceivedMessage, delay: timedelta) -> None: ...
    def send_set_aside(self, message: ReceivedMessage, reason: str, description: str = "") -> None: ...


class HostedMessages:
    """Works on messages, each in a thread, ``at_once`` of them at the same time.

    ``queue`` and ``decide`` are first asked for when there is a message. ``hold`` is how long a message is kept from
    the host when anything but the message is at fault. Where there is no queue at all, because the settings are wrong
    or their vault is away, it is kept :data:`PATIENCE` times as long, and the queue asked for again after each.
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
        """Returns when the host is to complete the message.

        Raises:
          SetAsideError: it is to become a dead letter.
          Exception: it is to come again.
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
                queue.send_put_off(message, delay)
            case DeadLetter(reason=reason, description=description):
                queue.send_set_aside(message, reason, description)
