"""The floor: a bare sqlite3 transaction that writes a row the emulator wrote, into the same table and indexes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from itertools import repeat

from dataverse_client.types import new_guid
from runner.emulator.storage.sequential_guids import sequential_guids
from runner.emulator.storage.store import Store

_FOLDED = re.compile(r"fold\((.+?)\)")


def bare_database(store: Store) -> sqlite3.Connection:
    """A database in memory of its own, with ``new_payment`` and its indexes as the store has them.

    They hold text as it is, which the store's hold folded: by a function in Python, for each text.
    """
    bare = sqlite3.connect(":memory:", isolation_level=None)
    definitions = "SELECT sql FROM sqlite_master WHERE tbl_name = 'new_payment' AND sql IS NOT NULL"
    for (sql,) in store.execute(definitions).fetchall():
        bare.execute(_FOLDED.sub(r"\1", sql))
    return bare


class BareTable:
    """``new_payment`` in a database of its own, without anything around it."""

    def __init__(self, store: Store, written: str) -> None:
        self._execute = bare_database(store).execute
        self.row = _row(store, written)
        del self.row["new_paymentid"]
        names = ", ".join(self.row)
        self._insert = f"INSERT INTO new_payment (new_paymentid, {names}) VALUES (?{', ?' * len(self.row)})"

    def creating(self, ids: Iterator[str] | None = None) -> Callable[[], str]:
        """Inserts a row; random ids unless others are given."""
        execute, insert, values = self._execute, self._insert, tuple(self.row.values())
        ids = ids or map(_drawn, repeat(None))

        def create() -> str:
            id = next(ids)
            execute("BEGIN")
            execute(insert, (id, *values))
            execute("COMMIT")
            return id

        return create

    def creating_counted(self) -> Callable[[], str]:
        """Inserts a row; ids are counted, as the emulator's are."""
        return self.creating(sequential_guids())

    def updating(self, id: str, *columns: str) -> Callable[[], None]:
        """Writes the same values again into these columns of the row."""
        execute, values = self._execute, tuple(self.row[column] for column in columns)
        update = f"UPDATE new_payment SET {', '.join(f'{column} = ?' for column in columns)} WHERE new_paymentid = ?"

        def change() -> None:
            execute("BEGIN")
            execute(update, (*values, id))
            execute("COMMIT")

        return change


def _drawn(_: None) -> str:
    return new_guid()


def _row(store: Store, id: str) -> dict[str, object]:
    """What SQLite holds of the row, columns without a value left out."""
    names = [column[1] for column in store.execute('PRAGMA table_info("new_payment")')]
    row = store.execute(f"SELECT {', '.join(names)} FROM new_payment WHERE new_paymentid = ?", (id,)).fetchone()
    return {name: value for name, value in zip(names, row, strict=True) if value is not None}
