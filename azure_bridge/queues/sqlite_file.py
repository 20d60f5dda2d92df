"""The file embedded queues live in: one connection per process and queue, one transaction at a time.

WAL lets processes share the file, and ``synchronous=FULL`` makes a commit survive a power cut.
Source: https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azure_bridge.queues.contract import QueueAccessError, QueueError, QueueUnavailableError

#: Below the ten seconds after which Stripe gives a webhook up.
BUSY_TIMEOUT_SECONDS = 5.0

_SCHEMA_VERSION = 1

#: The bits of an extended result code that are the primary one.
_PRIMARY = 0xFF
_DAMAGED = (
    "It is damaged: stop what uses it, put back a copy or move it away with its -wal and -shm files, and start "
    "again. `runner reconcile --fix` applies the payments whose events were in it."
)
#: By SQLite's primary result code.
_WHAT_TO_DO = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: "Free some space.",
    sqlite3.SQLITE_READONLY: "Let this user write to it, and to its directory.",
}

# Times are microseconds since 1970, UTC. A message is due when visible_at has come; a lock, like a schedule,
# moves visible_at forward, so that expiry needs no sweeper. The counters spare counts() a walk over the rows.
_SCHEMA = """
CREATE TABLE queue (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  live INTEGER NOT NULL DEFAULT 0,
  dead INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE message (
  sequence_number INTEGER PRIMARY KEY AUTOINCREMENT,
  queue INTEGER NOT NULL REFERENCES queue (id),
  visible_at INTEGER NOT NULL,
  lock_token TEXT,
  enqueued_at INTEGER NOT NULL,
  delivery_count INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL DEFAULT 0,
  message_id TEXT NOT NULL,
  correlation_id TEXT,
  subject TEXT,
  session_id TEXT,
  content_type TEXT NOT NULL,
  application_properties TEXT NOT NULL,
  dead_letter_reason TEXT,
  dead_letter_description TEXT,
  body BLOB NOT NULL
);
CREATE INDEX message_due ON message (queue, visible_at) WHERE dead_letter_reason IS NULL;
CREATE INDEX message_live ON message (queue, sequence_number) WHERE dead_letter_reason IS NULL;
CREATE INDEX message_dead ON message (queue, sequence_number) WHERE dead_letter_reason IS NOT NULL;
CREATE TABLE known_id (
  queue INTEGER NOT NULL REFERENCES queue (id),
  message_id TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (queue, message_id)
) WITHOUT ROWID;
CREATE INDEX known_id_expiry ON known_id (queue, expires_at);
CREATE TRIGGER message_arrives AFTER INSERT ON message BEGIN
  UPDATE queue SET live = live + 1 WHERE id = new.queue;
END;
CREATE TRIGGER message_dies AFTER UPDATE OF dead_letter_reason ON message BEGIN
  UPDATE queue SET live = live - 1, dead = dead + 1 WHERE id = new.queue;
END;
CREATE TRIGGER message_leaves AFTER DELETE ON message BEGIN
  UPDATE queue SET live = live - (old.dead_letter_reason IS NULL), dead = dead - (old.dead_letter_reason IS NOT NULL)
  WHERE id = old.queue;
END;
"""


class SqliteFile:
    """A connection the threads of a process take turns with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # A plug-in may change the working directory.
        self._place = path.absolute()
        self._turn = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            said = getattr(error, "strerror", None) or error
            raise QueueAccessError(
                f"The queue file {path} cannot be opened: {said}. Choose a directory that can be written to."
            ) from error
        self._identity: tuple[int, int] | None = None
        try:
            self._prepare()
            self._identity = _identity(self._place)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write alone; committed and on disk when the block is left, undone if it raises.

        Raises:
          QueueUnavailableError: the file is busy, full, broken or closed. Nothing was written.
        """
        with self._turn:
            self._require_in_place()
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise self._unavailable(error) from error
            except BaseException:
                self._roll_back()
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read what is committed. Raises QueueUnavailableError."""
        with self._turn:
            self._require_in_place()
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        with self.reading() as connection:
            _enter_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _statements(_SCHEMA):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif version != _SCHEMA_VERSION:
                raise QueueError(
                    f"{self._path} was written by another version of this software (layout {version}, "
                    f"known: {_SCHEMA_VERSION}). Drain it with that version, or use another file."
                )

    def _require_in_place(self) -> None:
        """SQLite would go on writing to a file that was removed, and that ends with the process."""
        if self._identity is not None and _identity(self._place) != self._identity:
            raise QueueUnavailableError(
                f"The queue file {self._path} was removed or replaced while this process had it open. Start it again."
            )

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return

    def _unavailable(self, error: sqlite3.Error) -> QueueUnavailableError:
        # The SDK's own complaints, such as about a closed connection, have no code.
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        return QueueUnavailableError(
            f"The queue file {self._path} cannot be used: {error}. {_WHAT_TO_DO.get(code, 'Try again later.')}"
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is at ``path``, if any."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _enter_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for others here as it does elsewhere, so this does."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one: ``executescript`` would commit the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
