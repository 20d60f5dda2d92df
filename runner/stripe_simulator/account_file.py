"""Stores an account in a SQLite file. Each change is one transaction, so that a crash never leaves half of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import orjson

from runner.stripe_simulator.account import StoredObject
from runner.stripe_simulator.idempotency import KeyedRequest, SavedKey, SavedResponse

# Without a rowid the order of creation would be lost, which lists depend on.
_TABLES = """
    CREATE TABLE IF NOT EXISTS object (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, shown BLOB NOT NULL, hidden BLOB NOT NULL
    );
    CREATE TABLE IF NOT EXISTS answered (
        key TEXT PRIMARY KEY, path TEXT NOT NULL, params BLOB NOT NULL, since TEXT NOT NULL,
        status INTEGER NOT NULL, body TEXT NOT NULL, request_id TEXT NOT NULL
    );
"""
_SAVE_OBJECT = """
    INSERT INTO object (id, kind, shown, hidden) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
    SET shown = excluded.shown, hidden = excluded.hidden
    WHERE shown <> excluded.shown OR hidden <> excluded.hidden
"""
_SAVE_KEY = "INSERT OR REPLACE INTO answered VALUES (?, ?, ?, ?, ?, ?, ?)"


class AccountFileError(Exception):
    """The file of the simulated Stripe account cannot be used. The message says what to do."""

    exit_code = 2


class AccountFile:
    """The file of one account, for one process at a time. Writers hold the account's lock."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises AccountFileError."""
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            # A second process would not see this one's changes in memory.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_TABLES}")
            self._connection.execute("BEGIN EXCLUSIVE").execute("COMMIT")
        except sqlite3.Error as error:
            self._connection.close()
            raise AccountFileError(f"{path} {_finding(error)}") from error

    def objects(self) -> Iterator[StoredObject]:
        """The stored objects, oldest first."""
        rows = self._connection.execute("SELECT kind, id, shown, hidden FROM object ORDER BY rowid")
        for kind, id_, shown, hidden in rows:
            yield StoredObject(kind, id_, orjson.loads(shown), orjson.loads(hidden))

    def saved_keys(self, since: datetime) -> Iterator[SavedKey]:
        """The saved idempotency keys. Those of requests before ``since`` are deleted."""
        self._connection.execute("DELETE FROM answered WHERE since < ?", (since.isoformat(),))
        rows = self._connection.execute("SELECT key, path, params, since, status, body, request_id FROM answered")
        for key, path, params, saved_since, *response in rows:
            yield SavedKey(
                key,
                KeyedRequest(path, orjson.loads(params)),
                datetime.fromisoformat(saved_since),
                SavedResponse(*response),
            )

    def save(self, objects: Iterable[StoredObject], keys: Iterable[SavedKey]) -> None:
        with self._connection:
            self._connection.execute("BEGIN")
            for each in objects:
                self._save(each)
            self._connection.executemany(_SAVE_KEY, map(_row, keys))

    def _save(self, each: StoredObject) -> None:
        if each.shown is None:
            self._connection.execute("DELETE FROM object WHERE id = ?", (each.id,))
            return
        row = (each.id, each.kind, orjson.dumps(each.shown), orjson.dumps(each.hidden))
        self._connection.execute(_SAVE_OBJECT, row)

    def close(self) -> None:
        self._connection.close()


def _finding(error: sqlite3.Error) -> str:
    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        return "is in use by another process. End that one, or use another directory."
    return f"cannot be used: {error}. Repair the file, or delete it to start anew."


def _row(each: SavedKey) -> tuple[object, ...]:
    request, response = each.request, each.response
    params = orjson.dumps(request.params)
    return (each.key, request.path, params, each.since.isoformat(), response.status, response.body, response.request_id)
