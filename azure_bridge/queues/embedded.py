"""The queue that needs nothing installed: a SQLite file, shared by threads and processes, surviving kill -9.

It keeps the contract of :mod:`azure_bridge.queues.contract` with Service Bus's own defaults. Every access goes
through an index, so a backlog of a million messages costs what one of ten thousand does.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import filterfalse
from pathlib import Path

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.queues.contract import (
    DeadLetterNotFoundError,
    MessageLockLostError,
    MessageTooLargeError,
    PeekedMessage,
    QueueCounts,
    QueueMessage,
    ReceivedMessage,
    resubmission,
)
from azure_bridge.queues.group_commit import GroupCommit
from azure_bridge.queues.sqlite_file import SqliteFile
from azure_bridge.queues.sqlite_rows import columns, message_of, microseconds, moment, peeked, received, span
from dataverse_client.types import new_guid

#: How often a waiting receiver looks for what other processes sent; its own process wakes it at once.
_LOOK_AGAIN_SECONDS = 0.05

#: Expired ids forgotten per message sent: more than one, so that forgetting always catches up.
_FORGET_PER_MESSAGE = 2

_REMEMBER = """
INSERT INTO known_id (queue, message_id, expires_at) VALUES (:queue, :message_id, :expires_at)
ON CONFLICT (queue, message_id) DO UPDATE SET expires_at = excluded.expires_at WHERE expires_at <= :now
"""
_FORGET = """
DELETE FROM known_id WHERE queue = :queue AND message_id IN (
  SELECT message_id FROM known_id WHERE queue = :queue AND expires_at <= :now ORDER BY expires_at LIMIT :limit)
"""
_INSERT = """
INSERT INTO message (queue, visible_at, enqueued_at,
  message_id, correlation_id, subject, session_id, content_type, application_properties, body)
VALUES (:queue, :now, :now,
  :message_id, :correlation_id, :subject, :session_id, :content_type, :application_properties, :body)
"""
_ANY_DUE = """
SELECT 1 FROM message WHERE queue = :queue AND visible_at <= :now AND dead_letter_reason IS NULL LIMIT 1
"""
_LOCK = """
UPDATE message SET lock_token = :lock_token, visible_at = :locked_until, delivery_count = delivery_count + 1
WHERE sequence_number IN (
  SELECT sequence_number FROM message WHERE queue = :queue AND visible_at <= :now AND dead_letter_reason IS NULL
  ORDER BY visible_at, sequence_number LIMIT :limit)
RETURNING *
"""
_PEEK = """
SELECT * FROM message WHERE queue = :queue AND sequence_number >= :first AND dead_letter_reason IS NULL
ORDER BY sequence_number LIMIT :limit
"""
_PEEK_DEAD = _PEEK.replace("IS NULL", "IS NOT NULL")
_REMOVE_DEAD = """
DELETE FROM message WHERE queue = :queue AND sequence_number = :sequence_number AND dead_letter_reason IS NOT NULL
RETURNING *
"""
_COUNT = """
SELECT live, dead, locked, later FROM queue, (
  SELECT COUNT(lock_token) AS locked, COUNT(*) AS later FROM message
  WHERE queue = :queue AND visible_at > :now AND dead_letter_reason IS NULL)
WHERE id = :queue
"""


def _if_held(action: str) -> str:
    """The action, on a message whose lock the caller still has."""
    return f"{action} WHERE sequence_number = :sequence_number AND lock_token = :lock_token AND visible_at > :now"


_RENEW = _if_held("UPDATE message SET visible_at = :visible_at")
_COMPLETE = _if_held("DELETE FROM message")
_RETRY_LATER = _if_held(
    "UPDATE message SET visible_at = :visible_at, lock_token = NULL, delivery_count = 0, attempt = attempt + 1"
)
_DEAD_LETTER = _if_held(
    "UPDATE message SET lock_token = NULL, dead_letter_reason = :reason, dead_letter_description = :description"
)


class EmbeddedQueue:
    """A named queue in a file. Several queues may share the file, several processes and threads the queue.

    Open it after a fork, not before: a SQLite connection must not be carried across.

    Args:
      lock_duration: how long a received message stays hidden unless settled or renewed.
      max_deliveries: deliveries after which an unsettled message becomes a dead letter.
      duplicate_detection_window: how long a message id is remembered.
      max_message_bytes: the largest body accepted; Service Bus Standard's limit unless told otherwise.
      clock: what locks, schedules and the window are measured by.

    Raises:
      QueueUnavailableError: the file cannot be opened or written.

    Source: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
    """

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        lock_duration: timedelta = timedelta(minutes=1),
        max_deliveries: int = 10,
        duplicate_detection_window: timedelta = timedelta(days=7),
        max_message_bytes: int = 256 * 1024,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._lock_duration = lock_duration
        self._max_deliveries = max_deliveries
        self._window = duplicate_detection_window
        self._max_message_bytes = max_message_bytes
        self._clock = clock or SystemClock()
        self._arrival = threading.Condition()
        self._file = SqliteFile(path)
        self._commits = GroupCommit(self._file, self._insert_unknown)
        self._id = self._register()

    # --- sending -------------------------------------------------------------------------------------------

    def send(self, messages: Sequence[QueueMessage]) -> None:
        """Store all of them, durably, before returning; senders that wait at the same time share one commit."""
        self._require_small(messages)
        self._commits.write(messages)
        self._wake_receivers()

    def _require_small(self, messages: Sequence[QueueMessage]) -> None:
        for message in messages:
            if len(message.body) > self._max_message_bytes:
                raise MessageTooLargeError(
                    f"Message {message.message_id} has {len(message.body)} bytes; queue {self.name} takes "
                    f"{self._max_message_bytes}. Send a smaller body, such as a reference to the data."
                )

    def _insert_unknown(self, connection: sqlite3.Connection, messages: list[QueueMessage]) -> None:
        now = self._now()
        times = {"queue": self._id, "now": now, "expires_at": now + span(self._window)}
        connection.execute(_FORGET, {**times, "limit": _FORGET_PER_MESSAGE * len(messages)})
        for message in messages:
            if connection.execute(_REMEMBER, {**times, "message_id": message.message_id}).rowcount:
                connection.execute(_INSERT, {**times, **columns(message)})

    # --- receiving -----------------------------------------------------------------------------------------

    def receive(self, max_messages: int = 1, max_wait: timedelta = timedelta(0)) -> list[ReceivedMessage]:
        """Lock up to ``max_messages``, waiting up to ``max_wait`` for the first. May be empty."""
        if max_messages < 1:
            return []
        deadline = time.monotonic() + max_wait.total_seconds()
        while True:
            while self._any_due():
                if messages := self._lock_due(max_messages):
                    return messages
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return []
            with self._arrival:
                self._arrival.wait(min(remaining, _LOOK_AGAIN_SECONDS))

    def _any_due(self) -> bool:
        """Looks without the write lock, so that an idle receiver keeps no sender waiting."""
        with self._file.reading() as connection:
            return connection.execute(_ANY_DUE, {"queue": self._id, "now": self._now()}).fetchone() is not None

    def _lock_due(self, max_messages: int) -> list[ReceivedMessage]:
        """May be empty although messages were due: others took them, or they were delivered too often."""
        with self._file.transaction() as connection:
            now = self._now()
            claim = {
                "queue": self._id,
                "now": now,
                "locked_until": now + span(self._lock_duration),
                "lock_token": new_guid(),
                "limit": max_messages,
            }
            messages = [received(row) for row in connection.execute(_LOCK, claim).fetchall()]
            for message in filter(self._is_spent, messages):
                self._bury_spent(connection, message)
        return sorted(filterfalse(self._is_spent, messages), key=lambda message: message.sequence_number)

    def _is_spent(self, message: ReceivedMessage) -> bool:
        return message.delivery_count > self._max_deliveries

    def _bury_spent(self, connection: sqlite3.Connection, message: ReceivedMessage) -> None:
        description = f"Delivered {self._max_deliveries} times without being settled."
        held = self._held(message, reason="MaxDeliveryCountExceeded", description=description)
        connection.execute(_DEAD_LETTER, held)

    def _wake_receivers(self) -> None:
        with self._arrival:
            self._arrival.notify_all()

    # --- settling ------------------------------------------------------------------------------------------

    def renew(self, message: ReceivedMessage) -> ReceivedMessage:
        """Extend the lock by the lock duration from now. Raises MessageLockLostError."""
        until = self._now() + span(self._lock_duration)
        self._settle(_RENEW, message, visible_at=until)
        return replace(message, locked_until=moment(until))

    def complete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Remove them. Raises MessageLockLostError naming those whose lock was lost; the others are removed."""
        with self._file.transaction() as connection:
            lost = [message for message in messages if not connection.execute(_COMPLETE, self._held(message)).rowcount]
        if lost:
            raise MessageLockLostError.of(self.name, lost)

    def retry_later(self, message: ReceivedMessage, delay: timedelta) -> None:
        """Put it back, visible after ``delay``, with ``attempt`` one higher. Raises MessageLockLostError."""
        self._settle(_RETRY_LATER, message, visible_at=self._now() + span(delay))

    def dead_letter(self, message: ReceivedMessage, reason: str, description: str = "") -> None:
        """Set it aside for a person. Raises MessageLockLostError."""
        self._settle(_DEAD_LETTER, message, reason=reason, description=description)

    def _settle(self, statement: str, message: ReceivedMessage, **values: object) -> None:
        with self._file.transaction() as connection:
            if not connection.execute(statement, self._held(message, **values)).rowcount:
                raise MessageLockLostError.of(self.name, [message])

    def _held(self, message: ReceivedMessage, **values: object) -> dict[str, object]:
        return {
            "sequence_number": message.sequence_number,
            "lock_token": message.lock_token,
            "now": self._now(),
            **values,
        }

    # --- for people and tools ------------------------------------------------------------------------------

    def peek(
        self, max_messages: int = 100, from_sequence_number: int = 0, *, dead_letters: bool = False
    ) -> list[PeekedMessage]:
        """Look without locking, in sequence order."""
        page = {"queue": self._id, "first": from_sequence_number, "limit": max_messages}
        with self._file.reading() as connection:
            rows = connection.execute(_PEEK_DEAD if dead_letters else _PEEK, page).fetchall()
        now = self._now()
        return [peeked(row, now) for row in rows]

    def resubmit(self, *sequence_numbers: int) -> None:
        """Send dead letters again, with fresh counts. Raises DeadLetterNotFoundError."""
        with self._file.transaction() as connection:
            removed = self._remove_dead(connection, sequence_numbers)
            self._insert_unknown(connection, [resubmission(message) for message in removed.values()])
        self._wake_receivers()
        self._require_all(sequence_numbers, removed)

    def discard(self, *sequence_numbers: int) -> None:
        """Remove dead letters for good. Raises DeadLetterNotFoundError."""
        with self._file.transaction() as connection:
            removed = self._remove_dead(connection, sequence_numbers)
        self._require_all(sequence_numbers, removed)

    def _remove_dead(self, connection: sqlite3.Connection, sequence_numbers: Sequence[int]) -> dict[int, QueueMessage]:
        removed = {}
        for number in sequence_numbers:
            dead = {"queue": self._id, "sequence_number": number}
            row = connection.execute(_REMOVE_DEAD, dead).fetchone()
            if row is not None:
                removed[number] = message_of(row)
        return removed

    def _require_all(self, asked: Sequence[int], found: Collection[int]) -> None:
        if missing := [number for number in asked if number not in found]:
            raise DeadLetterNotFoundError(self.name, missing)

    def counts(self) -> QueueCounts:
        """How many messages there are, by state. Costs nothing that grows with the number of waiting messages."""
        with self._file.reading() as connection:
            row = connection.execute(_COUNT, {"queue": self._id, "now": self._now()}).fetchone()
        return QueueCounts(
            active=row["live"] - row["later"],
            locked=row["locked"],
            scheduled=row["later"] - row["locked"],
            dead_lettered=row["dead"],
        )

    def close(self) -> None:
        """Let go of the file. Messages under lock come back when their locks run out."""
        self._file.close()

    def _register(self) -> int:
        with self._file.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO queue (name) VALUES (?)", (self.name,))
            row = connection.execute("SELECT id FROM queue WHERE name = ?", (self.name,)).fetchone()
            return int(row["id"])

    def _now(self) -> int:
        return microseconds(self._clock.now())
