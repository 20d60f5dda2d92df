"""Group commit: senders that wait at the same time share one transaction, and so one fsync.

Nobody waits for a timer. Whoever gets the file first writes for all who wait by then; the others find their
messages stored when their turn comes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from azure_bridge.queues.contract import QueueMessage, QueueUnavailableError
from azure_bridge.queues.sqlite_file import SqliteFile


@dataclass(slots=True)
class _Ticket:
    """What one sender wants stored, and what became of it."""

    messages: Sequence[QueueMessage]
    stored: bool = False
    error: BaseException | None = None


class GroupCommit:
    """``store`` writes messages inside the transaction it is given."""

    def __init__(self, file: SqliteFile, store: Callable[[sqlite3.Connection, list[QueueMessage]], None]) -> None:
        self._file = file
        self._store = store
        self._waiting: deque[_Ticket] = deque()
        self._turn = threading.Lock()

    def write(self, messages: Sequence[QueueMessage]) -> None:
        """Returns when the messages are on disk.

        Raises:
          QueueUnavailableError: none of them is.
        """
        ticket = _Ticket(messages)
        self._waiting.append(ticket)
        with self._turn:
            if not ticket.stored and ticket.error is None:
                self._write_for_all()
        if ticket.error is not None:
            raise QueueUnavailableError(str(ticket.error)) from ticket.error

    def _write_for_all(self) -> None:
        tickets: list[_Ticket] = []
        try:
            with self._file.transaction() as connection:
                tickets = self._take_waiting()
                self._store(connection, [message for ticket in tickets for message in ticket.messages])
        except BaseException as error:
            # A file that fails one sender fails all who wait: they must not each wait out the timeout in turn.
            for ticket in tickets or self._take_waiting():
                ticket.error = error
            raise
        for ticket in tickets:
            ticket.stored = True

    def _take_waiting(self) -> list[_Ticket]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
