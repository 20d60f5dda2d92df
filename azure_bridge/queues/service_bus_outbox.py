"""Sends to Service Bus over one connection, in a thread that is replaced when it hangs.

``send_messages`` of azure-servicebus 7.15 never returns, whatever its timeout, when the service answers in a way its
callback does not expect. So a courier thread sends, and callers stop waiting for it after a while: the courier is
dismissed, and the next send gets a new one. Messages that arrive while the courier is sending go in one batch
afterwards, as in a group commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import TypeAlias

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError

from azure_bridge.queues.contract import QueueUnavailableError
from azure_bridge.queues.service_bus_errors import translated

_MakeSender: TypeAlias = Callable[[], ServiceBusSender]

#: Seconds to wait beyond the SDK's own timeout, so that only a send that hangs is given up.
_WATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Parcel:
    """The messages of one call of ``send``, and its outcome."""

    messages: Sequence[ServiceBusMessage]
    outcome: Future[None] = field(default_factory=Future)


class Outbox:
    """Sends to one queue. Threads may share it. ``timeout`` is how long a send may take, including retries."""

    def __init__(self, queue: str, make_sender: _MakeSender, timeout: timedelta) -> None:
        self._queue = queue
        self._make_sender = make_sender
        self._seconds = timeout.total_seconds()
        self._gate = threading.Lock()
        self._courier: _Courier | None = None

    def send(self, messages: Sequence[ServiceBusMessage]) -> None:
        """Returns when the service has stored all of them.

        Raises:
          QueueUnavailableError: nothing is known to be stored; the same ids may be sent again.
          MessageTooLargeError: the service accepts no message of this size.
        """
        courier = self._employed()
        parcel = courier.take(messages)
        with translated(self._queue):
            try:
                parcel.outcome.result(self._seconds + _WATCH_SECONDS)
            except TimeoutError as error:
                self._dismiss(courier)
                raise QueueUnavailableError(
                    f"Queue {self._queue} did not say within {self._seconds:g} s whether it stored a message. "
                    "Send it again with the same id."
                ) from error

    def close(self) -> None:
        with self._gate:
            courier, self._courier = self._courier, None
        if courier is not None:
            courier.retire()

    def _employed(self) -> _Courier:
        with self._gate:
            if self._courier is None:
                self._courier = _Courier(self._queue, self._make_sender(), self._seconds)
            return self._courier

    def _dismiss(self, courier: _Courier) -> None:
        with self._gate:
            if self._courier is courier:
                self._courier = None
        courier.abort()


class _Courier:
    """A thread with a sender of its own. It sends everything that waits as one batch."""

    def __init__(self, queue: str, sender: ServiceBusSender, seconds: float) -> None:
        self._sender = sender
        self._seconds = seconds
        self._inbox: SimpleQueue[_Parcel | None] = SimpleQueue()
        # A daemon, because a thread that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name=f"send {queue}", daemon=True)
        self._thread.start()

    def take(self, messages: Sequence[ServiceBusMessage]) -> _Parcel:
        parcel = _Parcel(messages)
        self._inbox.put(parcel)
        return parcel

    def retire(self) -> None:
        """Send what waits, then close."""
        self._inbox.put(None)
        self._thread.join(self._seconds)
        if self._thread.is_alive():
            self._close()

    def abort(self) -> None:
        """End a send that hangs, by closing the sender it uses."""
        self._inbox.put(None)
        self._close()

    def _work(self) -> None:
        try:
            while self._deliver_what_waits():
                pass
        finally:
            # Even if ``abort`` closed it before: a sender that is closed during its retries opens again.
            self._close()

    def _deliver_what_waits(self) -> bool:
        """Waits for parcels and sends them. False after the last one."""
        parcel = self._inbox.get()
        parcels = []
        with suppress(Empty):
            while parcel is not None:
                parcels.append(parcel)
                parcel = self._inbox.get_nowait()
        if parcels:
            self._deliver(parcels)
        return parcel is not None

    def _close(self) -> None:
        with suppress(Exception):
            self._sender.close()

    def _deliver(self, parcels: Sequence[_Parcel]) -> None:
        try:
            self._send([message for parcel in parcels for message in parcel.messages])
        except MessageSizeExceededError as error:
            if len(parcels) > 1:
                # Sent one by one, so that only the one that is too large fails.
                for parcel in parcels:
                    self._deliver([parcel])
            else:
                parcels[0].outcome.set_exception(error)
        except Exception as error:
            for parcel in parcels:
                parcel.outcome.set_exception(error)
        else:
            for parcel in parcels:
                parcel.outcome.set_result(None)

    def _send(self, messages: Sequence[ServiceBusMessage]) -> None:
        for batch in _batches(self._sender, messages):
            self._sender.send_messages(batch, timeout=self._seconds)


def _batches(
    sender: ServiceBusSender, messages: Sequence[ServiceBusMessage]
) -> Iterator[ServiceBusMessage | ServiceBusMessageBatch]:
    """The messages in as few batches as the size limit allows. Raises MessageSizeExceededError if one fits in none."""
    if len(messages) == 1:
        yield messages[0]
        return
    batch = sender.create_message_batch()
    for message in messages:
        try:
            batch.add_message(message)
        except MessageSizeExceededError:
            if not len(batch):
                raise
            yield batch
            batch = sender.create_message_batch()
            batch.add_message(message)
    yield batch
