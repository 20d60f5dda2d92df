"""The one queue contract. The embedded engine (SQLite) and Azure Service Bus both keep it.

Delivery is at least once: a message is hidden while its lock lasts, and comes back when the lock runs out
before it was completed. Order is arrival order as a rule and never a promise. Ids are unique within the
duplicate-detection window: a second message with a known id is accepted and dropped.

The words are Service Bus's own.
Source: https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

#: Characters. Service Bus takes no longer id.
#: Source: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
MAX_MESSAGE_ID = 128
#: Sequence numbers have 64 bits, with the sign.
MAX_SEQUENCE_NUMBER = 2**63 - 1


class QueueError(Exception):
    """Root of what a queue can raise."""


class QueueUnavailableError(QueueError):
    """The queue cannot be reached or is busy: nothing was stored, try again later."""


class QueueAccessError(QueueUnavailableError):
    """There is no such queue, or it is not ours to use: nothing was stored; set its name or our rights right."""


class MessageLockLostError(QueueError):
    """The lock ran out before the message was settled: it is done already or will come again. Do not undo."""

    @classmethod
    def of(cls, queue: str, messages: Sequence[ReceivedMessage]) -> MessageLockLostError:
        ids = ", ".join(message.message.message_id for message in messages)
        return cls(
            f"The lock on {ids} in queue {queue} ran out before it was settled: it is done already or will come again. "
            "Settle sooner, or renew the lock."
        )


class MessageTooLargeError(QueueError):
    """The body is over the queue's limit: sending it again will not help."""


class DeadLetterNotFoundError(QueueError, LookupError):
    """``sequence_numbers`` are not those of dead letters, or not any more."""

    def __init__(self, queue: str, sequence_numbers: Sequence[int]) -> None:
        self.sequence_numbers = tuple(sequence_numbers)
        numbers = ", ".join(map(str, sequence_numbers))
        super().__init__(f"Queue {queue} has no dead letter {numbers}: peek at its dead letters.")


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """What a sender hands over. ``message_id``, of 128 characters at most, is what duplicates are recognised by."""

    body: bytes
    message_id: str
    correlation_id: str | None = None
    subject: str | None = None
    session_id: str | None = None
    content_type: str = "application/json"
    application_properties: Mapping[str, str] = field(default_factory=dict)


def marked_id(message_id: str, mark: str) -> str:
    """``message_id:mark``, the id of a copy; one that would be too long ends in its digest, and so is like no other."""
    marked = f"{message_id}:{mark}"
    if len(marked) <= MAX_MESSAGE_ID:
        return marked
    digest = hashlib.sha256(marked.encode()).hexdigest()
    return f"{marked[: MAX_MESSAGE_ID - len(digest) - 1]}:{digest}"


def resubmission(message: QueueMessage) -> QueueMessage:
    """The message to send again for a dead letter.

    Its id is new, because duplicate detection still knows the old one: ``evt_1`` becomes ``evt_1:resubmit-1``,
    then ``evt_1:resubmit-2``. ``OriginalMessageId`` among its properties leads back.
    """
    original = message.application_properties.get("OriginalMessageId", message.message_id)
    earlier = message.application_properties.get("Resubmissions", "")
    # Another sender may use this property for something else.
    times = int(earlier) + 1 if earlier.isdecimal() else 1
    trail = {"OriginalMessageId": original, "Resubmissions": str(times)}
    return replace(
        message,
        message_id=marked_id(original, f"resubmit-{times}"),
        application_properties={**message.application_properties, **trail},
    )


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message under lock: settle it with ``lock_token`` before ``locked_until``.

    ``delivery_count`` is 1 on the first delivery. ``attempt`` counts the times it was rescheduled with
    ``retry_later``, from 0; it survives the rescheduling that resets some engines' delivery count.
    """

    message: QueueMessage
    lock_token: str
    sequence_number: int
    enqueued_at: datetime
    locked_until: datetime
    delivery_count: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class PeekedMessage:
    """A message seen without a lock, for people and tools. An engine that cannot see locks has no ``locked_until``."""

    message: QueueMessage
    sequence_number: int
    enqueued_at: datetime
    delivery_count: int
    attempt: int = 0
    scheduled_for: datetime | None = None
    locked_until: datetime | None = None
    dead_letter_reason: str | None = None
    dead_letter_description: str | None = None


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many messages wait, are locked, are scheduled for later, and are dead letters."""

    active: int
    locked: int
    scheduled: int
    dead_lettered: int


class MessageQueue(Protocol):
    """A named queue. Safe to use from several threads."""

    name: str

    def send(self, messages: Sequence[QueueMessage]) -> None:
        """Store all of them, durably, before returning. Known ids are accepted and dropped.

        Raises:
          QueueUnavailableError: nothing is known to be stored; sending again with the same ids is safe.
          MessageTooLargeError: a body is over the limit; none was stored.
        """

    def receive(self, max_messages: int = 1, max_wait: timedelta = timedelta(0)) -> list[ReceivedMessage]:
        """Lock up to ``max_messages``, waiting up to ``max_wait`` for the first. May be empty.

        A message delivered more often than the queue's ``max_deliveries`` becomes a dead letter instead,
        with reason ``MaxDeliveryCountExceeded``.
        """

    def renew(self, message: ReceivedMessage) -> ReceivedMessage:
        """Extend the lock. Raises MessageLockLostError."""

    def complete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Remove them. Raises MessageLockLostError naming those whose lock was lost; the others are removed."""

    def retry_later(self, message: ReceivedMessage, delay: timedelta) -> None:
        """Put it back, visible after ``delay``, with ``attempt`` one higher. Raises MessageLockLostError."""

    def dead_letter(self, message: ReceivedMessage, reason: str, description: str = "") -> None:
        """Set it aside for a person. Raises MessageLockLostError."""

    def peek(
        self, max_messages: int = 100, from_sequence_number: int = 0, *, dead_letters: bool = False
    ) -> list[PeekedMessage]:
        """Look without locking, in sequence order."""

    def resubmit(self, *sequence_numbers: int) -> None:
        """Send dead letters again, each as its :func:`resubmission`.

        Raises DeadLetterNotFoundError with those that are none; the others are sent.
        """

    def discard(self, *sequence_numbers: int) -> None:
        """Remove dead letters for good. Raises DeadLetterNotFoundError with those that are none; the others go."""

    def counts(self) -> QueueCounts:
        """How many messages there are, by state. An engine that cannot see locks counts locked ones as active."""

    def close(self) -> None: ...
