"""The queue contract on Azure Service Bus, through the official SDK.

Duplicate detection, the duration of locks and the number of deliveries are properties of the queue in Azure: create it
with duplicate detection, without sessions and without partitions. The SDK has no transactions, so whatever takes two
steps is done in the order that may repeat a message but cannot lose one.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver, ServiceBusSubQueue
from azure.servicebus.exceptions import OperationTimeoutError, ServiceBusConnectionError

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.queues.contract import (
    MessageLockLostError,
    MessageTooLargeError,
    PeekedMessage,
    QueueAccessError,
    QueueCounts,
    QueueError,
    QueueMessage,
    QueueUnavailableError,
    ReceivedMessage,
    resubmission,
)
from azure_bridge.queues.service_bus_connections import with_brisk_connections
from azure_bridge.queues.service_bus_dead_letters import DeadLetters
from azure_bridge.queues.service_bus_errors import LOCK_LOST
from azure_bridge.queues.service_bus_links import SharedReceiver
from azure_bridge.queues.service_bus_messages import outgoing, peeked, received, scheduled_copy, set_aside
from azure_bridge.queues.service_bus_outbox import Outbox

#: How often a waiting receiver hands its connection to other threads, so that they can settle their messages.
_SLICE_SECONDS = 0.25
_RECONNECTIONS = 3
#: The service may return fewer messages for one peek, but never more.
_PEEK_PAGE = 250
#: The longest description the service accepts.
_MAX_DESCRIPTION = 4096
#: How long a message is remembered after its lock ran out: this machine's clock may be ahead of the service's.
_FORGET_AFTER = timedelta(minutes=5)
_SUBSCRIPTION = re.compile(r"(.+)/subscriptions/([^/]+)\Z", re.IGNORECASE)


def connect(connection_string: str | None = None, namespace: str | None = None) -> ServiceBusClient:
    """A client for a connection string, or for a namespace such as ``contoso.servicebus.windows.net``.

    A namespace is used with this machine's Azure identity. The SDK retries three times, after 0.6, 1.2 and 2.4 seconds,
    because a sender that answers Stripe has ten seconds in all.

    Raises:
      QueueAccessError: the connection string cannot be read, or neither is given.
    """
    retries: dict[str, Any] = {"retry_total": 3, "retry_backoff_factor": 0.3, "retry_backoff_max": 3, "try_timeout": 10}
    if connection_string:
        try:
            return with_brisk_connections(ServiceBusClient.from_connection_string(connection_string, **retries))
        except ValueError as error:
            raise QueueAccessError(
                f"SERVICEBUS_CONNECTION_STRING cannot be read: {error} Copy it whole from the namespace's shared "
                "access policies: Endpoint=sb://...;SharedAccessKeyName=...;SharedAccessKey=..."
            ) from error
    if not namespace:
        raise QueueAccessError("Give a connection string, or a namespace such as contoso.servicebus.windows.net.")
    from azure.identity import DefaultAzureCredential

    return with_brisk_connections(ServiceBusClient(namespace, DefaultAzureCredential(), **retries))


class ServiceBusQueue:
    """A queue, or a subscription to receive from, named ``topic/Subscriptions/subscription``.

    Threads may share it, and take turns: it has one connection to send and one to receive. Workers that are to run in
    parallel need one object each. Closing it closes ``client``.

    Nothing is prefetched, because locks would run down while messages wait in memory.

    Args:
      max_message_bytes: the largest body accepted; the default is Service Bus Standard's limit.
      send_timeout: how long a send may take, including retries.
      shortest_wait: how long ``receive`` waits at least, because the service needs a moment to answer.

    Source: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-performance-improvements
    """

    def __init__(
        self,
        client: ServiceBusClient,
        name: str,
        *,
        max_message_bytes: int = 256 * 1024,
        send_timeout: timedelta = timedelta(seconds=8),
        shortest_wait: timedelta = timedelta(seconds=1),
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._client = client
        subscription = _SUBSCRIPTION.match(name)
        self._subscription: tuple[str, str] | None = subscription and (subscription[1], subscription[2])
        self._max_message_bytes = max_message_bytes
        self._shortest_wait = shortest_wait.total_seconds()
        self._clock = clock or SystemClock()
        self._outbox = Outbox(name, lambda: client.get_queue_sender(name), send_timeout)
        self._live = SharedReceiver(name, self._receiver)
        self._dead = SharedReceiver(name, lambda: self._receiver(ServiceBusSubQueue.DEAD_LETTER))
        self._dead_letters = DeadLetters(name, self._dead, self._shortest_wait)
        self._held: dict[str, ServiceBusReceivedMessage] = {}
        self._gate = threading.Lock()

    def _receiver(self, sub_queue: ServiceBusSubQueue | None = None) -> ServiceBusReceiver:
        if self._subscription is None:
            return self._client.get_queue_receiver(self.name, sub_queue=sub_queue)
        return self._client.get_subscription_receiver(*self._subscription, sub_queue=sub_queue)

    # --- sending -------------------------------------------------------------------------------------------

    def send(self, messages: Sequence[QueueMessage]) -> None:
        """Store all of them before returning, in batches. Concurrent senders share a batch.

        Raises:
          QueueUnavailableError: nothing is known to be stored; sending again with the same ids is safe.
          MessageTooLargeError: a body is over the limit; none was stored.
          QueueError: this is a subscription.
        """
        self._require_queue("sent to")
        self._require_small(messages)
        if messages:
            self._outbox.send([outgoing(message) for message in messages])

    def _require_queue(self, done: str) -> None:
        if self._subscription is not None:
            raise QueueError(
                f"The subscription {self.name} cannot be {done} alone: all others of its topic would get the message. "
                "Forward it to a queue, and use that."
            )

    def _require_small(self, messages: Sequence[QueueMessage]) -> None:
        for message in messages:
            if len(message.body) > self._max_message_bytes:
                raise MessageTooLargeError(
                    f"Message {message.message_id} has {len(message.body)} bytes; queue {self.name} takes "
                    f"{self._max_message_bytes}. Send a smaller body, such as a reference to the data."
                )

    # --- receiving -----------------------------------------------------------------------------------------

    def receive(self, max_messages: int = 1, max_wait: timedelta = timedelta(0)) -> list[ReceivedMessage]:
        """Lock up to ``max_messages``, waiting up to ``max_wait`` for the first. May be empty."""
        if max_messages < 1:
            return []
        deadline = time.monotonic() + max(max_wait.total_seconds(), self._shortest_wait)
        while True:
            remaining = deadline - time.monotonic()
            messages = self._receive(max_messages, min(max(remaining, self._shortest_wait), _SLICE_SECONDS))
            if messages or time.monotonic() >= deadline:
                return self._hold(messages)

    def _receive(self, max_messages: int, seconds: float) -> list[ServiceBusReceivedMessage]:
        """Reopens a lost connection, so that an empty result means that there were no messages."""
        for _ in range(_RECONNECTIONS):
            with self._live.use() as receiver:
                try:
                    return receiver.receive_messages(max_messages, max_wait_time=seconds)
                except (OperationTimeoutError, ServiceBusConnectionError):
                    continue
        raise QueueUnavailableError(f"Queue {self.name} lost its connection {_RECONNECTIONS} times. Try again later.")

    def _hold(self, messages: Iterable[ServiceBusReceivedMessage]) -> list[ReceivedMessage]:
        held = {str(message.lock_token): message for message in messages}
        long_ago = self._clock.now() - _FORGET_AFTER
        with self._gate:
            for token, message in list(self._held.items()):
                if message.locked_until_utc is None or message.locked_until_utc < long_ago:
                    del self._held[token]
            self._held.update(held)
        return [received(message) for message in held.values()]

    # --- settling ------------------------------------------------------------------------------------------

    def renew(self, message: ReceivedMessage) -> ReceivedMessage:
        """Extend the lock by the queue's lock duration. Raises MessageLockLostError."""
        with self._live.use() as receiver:
            try:
                until = receiver.renew_message_lock(self._held_as(message))
            except LOCK_LOST as error:
                raise MessageLockLostError.of(self.name, [message]) from error
        return replace(message, locked_until=until)

    def complete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Remove them. Raises MessageLockLostError naming those whose lock was lost; the others are removed."""
        with self._live.use() as receiver:
            lost = [message for message in messages if not self._settle(message, receiver.complete_message)]
        if lost:
            raise MessageLockLostError.of(self.name, lost)

    def retry_later(self, message: ReceivedMessage, delay: timedelta) -> None:
        """Deliver it again after ``delay``, with ``attempt`` one higher: store a scheduled copy, then complete it.

        A subscription's message is delivered again when its lock runs out. Raises MessageLockLostError.
        """
        # A message that somebody else has by now is not copied, and the lock lasts until the copy is stored.
        self.renew(message)
        if self._subscription is None:
            self.send_scheduled_copy(message, delay)
            self.complete([message])

    def send_scheduled_copy(self, message: ReceivedMessage, delay: timedelta) -> None:
        """Only store the copy: the host holds the lock and completes the message. Raises QueueUnavailableError."""
        self._outbox.send([scheduled_copy(message, self._clock.now() + delay)])

    def send_set_aside(self, message: ReceivedMessage, reason: str, description: str = "") -> None:
        """Store a copy with the reason, for a host that completes the message. Raises QueueUnavailableError.

        Whoever receives the copy gives it back, until the service makes it a dead letter.
        """
        self._outbox.send([set_aside(message, reason, description[:_MAX_DESCRIPTION])])

    def dead_letter(self, message: ReceivedMessage, reason: str, description: str = "") -> None:
        """Make it a dead letter. Raises MessageLockLostError."""

        def settle(held: ServiceBusReceivedMessage) -> None:
            receiver.dead_letter_message(held, reason=reason, error_description=description[:_MAX_DESCRIPTION])

        with self._live.use() as receiver:
            settled = self._settle(message, settle)
        if not settled:
            raise MessageLockLostError.of(self.name, [message])

    def _settle(self, message: ReceivedMessage, settle: Callable[[ServiceBusReceivedMessage], None]) -> bool:
        """False when the lock was lost or, occasionally, when only the service's answer was lost."""
        try:
            settle(self._held_as(message))
        except (MessageLockLostError, *LOCK_LOST):
            self._forget(message)
            return False
        self._forget(message)
        return True

    def _held_as(self, message: ReceivedMessage) -> ServiceBusReceivedMessage:
        with self._gate:
            held = self._held.get(message.lock_token)
        if held is None:
            raise MessageLockLostError.of(self.name, [message])
        return held

    def _forget(self, message: ReceivedMessage) -> None:
        with self._gate:
            self._held.pop(message.lock_token, None)

    # --- for people and tools ------------------------------------------------------------------------------

    def peek(
        self, max_messages: int = 100, from_sequence_number: int = 0, *, dead_letters: bool = False
    ) -> list[PeekedMessage]:
        """The messages in sequence order, without locking them. The service does not say which ones are locked."""
        found: list[PeekedMessage] = []
        for page in self._pages(max_messages, from_sequence_number, dead_letters=dead_letters):
            found += page
        return found

    def _pages(self, limit: int | None = None, first: int = 0, *, dead_letters: bool) -> Iterator[list[PeekedMessage]]:
        shared = self._dead if dead_letters else self._live
        while limit is None or limit > 0:
            with shared.use() as receiver:
                # 0 would mean: continue after the message this receiver saw last.
                page = receiver.peek_messages(min(limit or _PEEK_PAGE, _PEEK_PAGE), sequence_number=max(first, 1))
            if not page:
                return
            yield [peeked(message) for message in page]
            first = (page[-1].sequence_number or first) + 1
            limit = None if limit is None else limit - len(page)

    def resubmit(self, *sequence_numbers: int) -> None:
        """Send dead letters again, then remove them. Raises DeadLetterNotFoundError."""
        self._require_queue("sent to")

        def send_again(message: ServiceBusReceivedMessage) -> None:
            self._outbox.send([outgoing(resubmission(received(message).message))])

        self._dead_letters.remove(sequence_numbers, send_again)

    def discard(self, *sequence_numbers: int) -> None:
        """Remove dead letters for good. Raises DeadLetterNotFoundError."""
        self._dead_letters.remove(sequence_numbers, lambda _: None)

    def counts(self) -> QueueCounts:
        """Counts messages by peeking at all of them. Locked ones count as active."""
        scheduled = [one.scheduled_for is not None for page in self._pages(dead_letters=False) for one in page]
        dead = sum(len(page) for page in self._pages(dead_letters=True))
        return QueueCounts(active=scheduled.count(False), locked=0, scheduled=scheduled.count(True), dead_lettered=dead)

    def close(self) -> None:
        """Close the connections. Locked messages are delivered again when their locks run out."""
        with ExitStack() as closing:
            for each in (self._client, self._dead, self._live, self._outbox):
                closing.callback(each.close)
