"""The settlement of a queue message: complete, retry later, or dead letter.

The processor decides and :func:`settle` carries it out: two steps, because a host such as Azure Functions settles
messages in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from random import random
from typing import Any, TypeAlias

from azure_bridge.observer import BridgeObserver
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.queues.contract import MessageLockLostError, MessageQueue, ReceivedMessage

#: Dead-letter reasons; ``docs/queue.md`` says what to do about each.
INVALID_MESSAGE = "InvalidMessage"
ROW_NOT_FOUND = "RowNotFound"
REJECTED_BY_CRM = "RejectedByCrm"
ANOTHER_INTENT_PAID = "AnotherIntentPaid"


@dataclass(frozen=True, slots=True)
class Complete:
    """Remove the message: it was applied, or there was nothing to do."""

    message: ReceivedMessage


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Deliver the message again after ``delay``."""

    message: ReceivedMessage
    delay: timedelta
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Set the message aside for a person. ``description`` names the row, the payment and what to do."""

    message: ReceivedMessage
    reason: str
    description: str


Settlement: TypeAlias = Complete | RetryLater | DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a message is delivered again: after ``first``, then twice that, up to ``longest``, less some jitter.

    ``attempts`` is how often a message is retried for a reason that may never pass, such as a missing row, before it
    becomes a dead letter: after about an hour with the defaults. While CRM is away or refuses our credentials, messages
    are retried without limit. ``jitter`` returns a number in [0, 1).
    """

    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=10)
    attempts: int = 14
    jitter: Callable[[], float] = random

    def delay(self, attempt: int, *, at_least: timedelta = timedelta(0)) -> timedelta:
        """The delay after ``attempt``, which counts from 0. ``at_least`` is a minimum that the server asked for."""
        # The exponent is bounded, because a message may be retried for days and a timedelta has a limit.
        backoff = min(self.longest, self.first * (1 << min(attempt, 32)))
        return at_least + backoff * (0.5 + self.jitter() / 2)


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """A message and the event in it."""

    message: ReceivedMessage
    event: PaymentEvent


class Decisions:
    """Collects the settlements of one batch, and reports each to the observer."""

    def __init__(self, observer: BridgeObserver, retries: RetryPolicy) -> None:
        self.settlements: list[Settlement] = []
        self._observer = observer
        self._retries = retries

    def applied(self, queued: QueuedEvent, table: str, row_id: str, changes: Mapping[str, Any]) -> None:
        self.settlements.append(Complete(queued.message))
        self._observer.applied(queued.event, table, row_id, changes)

    def ignored(self, queued: QueuedEvent, reason: str) -> None:
        self.settlements.append(Complete(queued.message))
        self._observer.ignored(queued.event, reason)

    def retry_later(self, queued: QueuedEvent, reason: str, *, at_least: timedelta = timedelta(0)) -> None:
        attempt = queued.message.attempt
        delay = self._retries.delay(attempt, at_least=at_least)
        self.settlements.append(RetryLater(queued.message, delay, reason))
        self._observer.retry_later(queued.event, reason, attempt=attempt, delay_seconds=delay.total_seconds())

    def retry_later_or_dead_letter(self, queued: QueuedEvent, reason: str, description: str) -> None:
        """Retry later while there are attempts left, otherwise make it a dead letter."""
        if self.is_last_attempt(queued):
            self.dead_lettered(queued.message, queued.event, reason, description)
        else:
            self.retry_later(queued, description)

    def is_last_attempt(self, queued: QueuedEvent) -> bool:
        return queued.message.attempt >= self._retries.attempts

    def dead_lettered(
        self, message: ReceivedMessage, event: PaymentEvent | None, reason: str, description: str
    ) -> None:
        self.settlements.append(DeadLetter(message, reason, description))
        self._observer.dead_lettered(event, reason, description)


def settle(queue: MessageQueue, settlements: Sequence[Settlement]) -> None:
    """Carry out the settlements. A lost lock is not an error: the message is delivered again, and changes nothing.

    Raises:
      QueueUnavailableError: messages that were not settled are delivered again when their locks run out.
    """
    done = [settlement.message for settlement in settlements if isinstance(settlement, Complete)]
    if done:
        with suppress(MessageLockLostError):
            queue.complete(done)
    for settlement in settlements:
        with suppress(MessageLockLostError):
            match settlement:
                case RetryLater(message, delay):
                    queue.retry_later(message, delay)
                case DeadLetter(message, reason, description):
                    queue.dead_letter(message, reason, description)
