"""A queue or subscription as Service Bus understands it, without a wire: locks, schedules, duplicates, dead letters.

Source: https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, islice
from typing import Any
from uuid import UUID, uuid4

from azure_bridge.clock import Clock

NEVER = timedelta(days=36_500)


class LockLost(Exception):
    """No message is locked with this token."""


@dataclass(slots=True)
class Stored:
    """A message at rest. ``content`` is the wire's business; ``failures`` are deliveries that came to nothing."""

    content: Any
    message_id: str | None
    sequence_number: int
    enqueued_at: datetime
    expires_at: datetime
    scheduled_for: datetime | None = None
    failures: int = 0
    lock_token: UUID | None = None
    locked_until: datetime | None = None
    dead_letter_reason: str | None = None
    dead_letter_description: str | None = None


@dataclass(slots=True)
class Entity:
    """One queue. ``dead_letters`` is its sub-queue, an entity of its own that has none."""

    name: str
    clock: Clock
    lock_duration: timedelta = timedelta(minutes=1)
    max_deliveries: int = 10
    duplicate_detection_window: timedelta | None = timedelta(days=7)
    time_to_live: timedelta = NEVER
    max_message_bytes: int = 256 * 1024
    dead_letters: Entity | None = None
    messages: dict[int, Stored] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _known: dict[str, datetime] = field(default_factory=dict)
    _held: dict[UUID, Stored] = field(default_factory=dict)
    _ready: list[int] = field(default_factory=list)
    _scheduled: list[tuple[datetime, int]] = field(default_factory=list)
    _locks: list[tuple[datetime, UUID]] = field(default_factory=list)

    def accept(
        self,
        content: Any,
        message_id: str | None,
        *,
        scheduled_for: datetime | None = None,
        time_to_live: timedelta | None = None,
    ) -> int:
        """Store it, unless its id is known. Returns its sequence number; 0 for a duplicate."""
        now = self.clock.now()
        if self._is_duplicate(message_id, now):
            return 0
        lives = min(self.time_to_live, time_to_live or self.time_to_live)
        stored = Stored(content, message_id, next(self._numbers), now, now + lives)
        if scheduled_for is not None and scheduled_for > now:
            stored.scheduled_for = scheduled_for
            heapq.heappush(self._scheduled, (scheduled_for, stored.sequence_number))
        else:
            heapq.heappush(self._ready, stored.sequence_number)
        self.messages[stored.sequence_number] = stored
        return stored.sequence_number

    def _is_duplicate(self, message_id: str | None, now: datetime) -> bool:
        if self.duplicate_detection_window is None or message_id is None:
            return False
        if self._known.get(message_id, now) > now:
            return True
        self._known[message_id] = now + self.duplicate_detection_window
        return False

    def lock_next(self) -> Stored | None:
        """The first message that may be delivered, now locked."""
        self.tidy()
        now = self.clock.now()
        while self._ready:
            stored = self.messages.get(heapq.heappop(self._ready))
            if stored is None:
                continue
            if stored.expires_at <= now and self.dead_letters is not None:
                self._bury(stored, "TTLExpiredException", "The message expired and was dead lettered.")
                continue
            stored.lock_token, stored.locked_until = uuid4(), now + self.lock_duration
            self._held[stored.lock_token] = stored
            heapq.heappush(self._locks, (stored.locked_until, stored.lock_token))
            return stored
        return None

    def complete(self, token: UUID) -> None:
        del self.messages[self._let_go(token).sequence_number]

    def abandon(self, token: UUID) -> None:
        """Back to the queue, as a failed delivery."""
        self._fail(self._let_go(token))

    def release(self, token: UUID) -> None:
        """Back to the queue as if it had never been delivered."""
        heapq.heappush(self._ready, self._let_go(token).sequence_number)

    def dead_letter(self, token: UUID, reason: str | None, description: str | None) -> None:
        self._bury(self._let_go(token), reason, description)

    def renew(self, token: UUID) -> datetime:
        self.tidy()
        stored = self._held.get(token)
        if stored is None:
            raise LockLost(token)
        stored.locked_until = self.clock.now() + self.lock_duration
        heapq.heappush(self._locks, (stored.locked_until, token))
        return stored.locked_until

    def cancel_scheduled(self, sequence_number: int) -> bool:
        stored = self.messages.get(sequence_number)
        if stored is None or stored.scheduled_for is None:
            return False
        del self.messages[sequence_number]
        return True

    def peek(self, first: int, limit: int) -> list[Stored]:
        self.tidy()
        return list(islice((one for number, one in sorted(self.messages.items()) if number >= first), limit))

    def lose_locks(self) -> None:
        """Every lock runs out now: a fault on demand."""
        for token in list(self._held):
            self._fail(self._let_go(token))

    def tidy(self) -> None:
        """Let what time has done happen: schedules that are due, locks that ran out."""
        now = self.clock.now()
        while self._scheduled and self._scheduled[0][0] <= now:
            self._activate(heapq.heappop(self._scheduled)[1])
        while self._locks and self._locks[0][0] <= now:
            _, token = heapq.heappop(self._locks)
            stored = self._held.get(token)
            if stored is not None and stored.locked_until is not None and stored.locked_until <= now:
                self._fail(self._let_go(token, tidy=False))

    def _activate(self, sequence_number: int) -> None:
        """A scheduled message gets a new number when it becomes active, as at the service."""
        stored = self.messages.pop(sequence_number, None)
        if stored is None:
            return
        stored.sequence_number, stored.enqueued_at = next(self._numbers), self.clock.now()
        stored.scheduled_for = None
        self.messages[stored.sequence_number] = stored
        heapq.heappush(self._ready, stored.sequence_number)

    def _let_go(self, token: UUID, *, tidy: bool = True) -> Stored:
        if tidy:
            self.tidy()
        stored = self._held.pop(token, None)
        if stored is None:
            raise LockLost(token)
        stored.lock_token = stored.locked_until = None
        return stored

    def _fail(self, stored: Stored) -> None:
        stored.failures += 1
        if stored.failures >= self.max_deliveries and self.dead_letters is not None:
            description = f"Message could not be consumed after {self.max_deliveries} delivery attempts."
            self._bury(stored, "MaxDeliveryCountExceeded", description)
        else:
            heapq.heappush(self._ready, stored.sequence_number)

    def _bury(self, stored: Stored, reason: str | None, description: str | None) -> None:
        """Sequence and enqueued time stay what they were: the number finds the message in both places."""
        assert self.dead_letters is not None
        del self.messages[stored.sequence_number]
        stored.dead_letter_reason, stored.dead_letter_description = reason, description
        self.dead_letters.messages[stored.sequence_number] = stored
        heapq.heappush(self.dead_letters._ready, stored.sequence_number)


def new_queue(name: str, clock: Clock, **settings: Any) -> Entity:
    """A queue with its dead-letter sub-queue, which has no limit of deliveries and no time to live."""
    dead_letters = Entity(f"{name}/$DeadLetterQueue", clock, duplicate_detection_window=None)
    queue = Entity(name, clock, dead_letters=dead_letters, **settings)
    dead_letters.lock_duration = queue.lock_duration
    return queue
