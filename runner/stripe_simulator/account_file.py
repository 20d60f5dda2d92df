"""An account kept in a SQLite file: each change is one transaction, so that a crash never leaves half of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import orjson

from runner.stripe_simulator.account import Kept
from runner.stripe_simulator.idempotency import Answered, Asked, Saved

# WITHOUT ROWID would lose the order in which objects came to be, which lists depend on.
_TABLES = """
    CREATE TABLE IF NOT EXISTS object (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, shown BLOB NOT NULL, hidden BLOB NOT NULL
    );
    CREATE TABLE IF NOT EXISTS answered (
        key TEXT PRIMARY KEY, path TEXT NOT NULL, params BLOB NOT NULL, since TEXT NOT NULL,
        status INTEGER NOT NULL, body TEXT NOT NULL, request_id TEXT NOT NULL
    );
"""
_KEEP = """
    INSERT INTO object (id, kind, shown, hidden) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
    SET shown = excluded.shown, hidden = excluded.hidden
    WHERE shown <> excluded.shown OR hidden <> excluded.hidden
"""
_ANSWER = "INSERT OR REPLACE INTO answered VALUES (?, ?, ?, ?, ?, ?, ?)"


class AccountFileError(Exception):
    """The file of the simulated Stripe account cannot be used. The message says what to do."""

    exit_code = 2


class AccountFile:
    """Belongs to one process at a time. Whoever writes holds the account's lock."""

    def __init__(self, path: Path) -> None:
        """Raises AccountFileError."""
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            # A second process would not see what this one holds in memory.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_TABLES}")
            self._connection.execute("BEGIN EXCLUSIVE").execute("COMMIT")
        except sqlite3.Error as error:
            self._connection.close()
            raise AccountFileError(
                f"{path} cannot be used: {error}. End the process that uses it, or remove the file to begin anew."
            ) from error

    def objects(self) -> Iterator[Kept]:
        """Oldest first."""
        rows = self._connection.execute("SELECT kind, id, shown, hidden FROM object ORDER BY rowid")
        for kind, id_, shown, hidden in rows:
            yield Kept(kind, id_, orjson.loads(shown), orjson.loads(hidden))

    def answered(self, since: datetime) -> Iterator[Answered]:
        """The answers to requests with a key, without those from before ``since``, which are forgotten."""
        self._connection.execute("DELETE FROM answered WHERE since < ?", (since.isoformat(),))
        rows = self._connection.execute("SELECT key, path, params, since, status, body, request_id FROM answered")
        for key, path, params, came, *answer in rows:
            yield Answered(key, Asked(path, orjson.loads(params)), datetime.fromisoformat(came), Saved(*answer))

    def keep(self, objects: Iterable[Kept], answered: Iterable[Answered]) -> None:
        with self._connection:
            self._connection.execute("BEGIN")
            for each in objects:
                self._keep(each)
            self._connection.executemany(_ANSWER, map(_row, answered))

    def _keep(self, each: Kept) -> None:
        if each.shown is None:
            self._connection.execute("DELETE FROM object WHERE id = ?", (each.id,))
            return
        row = (each.id, each.kind, orjson.dumps(each.shown), orjson.dumps(each.hidden))
        self._connection.execute(_KEEP, row)

    def close(self) -> None:
        self._connection.close()


def _row(each: Answered) -> tuple[object, ...]:
    asked, answer = each.asked, each.answer
    params = orjson.dumps(asked.params)
    return (each.key, asked.path, params, each.since.isoformat(), answer.status, answer.body, answer.request_id)
