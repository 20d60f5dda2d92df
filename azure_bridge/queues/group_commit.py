"""Group commit: senders that wait at the same time share one transaction, and so one fsync.

Nobody waits for a timer. One sender leads: it writes for all who wait by the time the file is its own, wakes them
together, and hands the lead to whoever has come since. Waking them together is what makes it fast: were they to
queue for a lock, each would have to be woken before the next could be.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence

from azure_bridge.queues.contract import QueueMessage, QueueUnavailableError
from azure_bridge.queues.sqlite_file import SqliteFile


class _Ticket:
    """What one sender wants stored. ``turn`` opens when that is settled, or when the sender is to lead."""

    __slots__ = ("error", "leads", "messages", "settled", "turn")

    def __init__(self, messages: Sequence[QueueMessage]) -> None:
        self.messages = messages
        self.leads = False
        self.settled = False
        self.error: BaseException | None = None
        self.turn = threading.Lock()
        self.turn.acquire()

    def settle(self, error: BaseException | None = None) -> None:
        self.settled, self.error = True, error
        if not self.leads:
            self.turn.release()

    def lead(self) -> None:
        self.leads = True
        self.turn.release()


class GroupCommit:
    """``store`` writes messages inside the transaction it is given."""

    def __init__(self, file: SqliteFile, store: Callable[[sqlite3.Connection, list[QueueMessage]], None]) -> None:
        self._file = file
        self._store = store
        self._waiting: deque[_Ticket] = deque()
        self._led = False
        self._gate = threading.Lock()

    def write(self, messages: Sequence[QueueMessage]) -> None:
        """Returns when the messages are on disk.

        Raises:
          QueueUnavailableError: none of them is.
        """
        ticket = self._join(messages)
        try:
            ticket.turn.acquire()
            if ticket.leads:
                self._write_for_all()
        finally:
            if ticket.leads or not ticket.settled:
                self._leave(ticket)
        if ticket.error is not None:
            raise QueueUnavailableError(str(ticket.error)) from ticket.error

    def _join(self, messages: Sequence[QueueMessage]) -> _Ticket:
        ticket = _Ticket(messages)
        with self._gate:
            self._waiting.append(ticket)
            if not self._led:
                self._led = True
                ticket.lead()
        return ticket

    def _write_for_all(self) -> None:
        tickets: list[_Ticket] = []
        try:
            with self._file.transaction() as connection:
                tickets = self._take_waiting()
                self._store(connection, [message for ticket in tickets for message in ticket.messages])
        except BaseException as error:
            # A file that fails one sender fails all who wait: they must not each wait out the timeout in turn.
            for ticket in tickets or self._take_waiting():
                ticket.settle(error)
            raise
        for ticket in tickets:
            ticket.settle()

    def _take_waiting(self) -> list[_Ticket]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def _leave(self, ticket: _Ticket) -> None:
        """Hand the lead on. A sender interrupted while it waited must not be left to be handed it."""
        with self._gate:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            if not ticket.leads:
                return
            if self._waiting:
                self._waiting[0].lead()
            else:
                self._led = False
