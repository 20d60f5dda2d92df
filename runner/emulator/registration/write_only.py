"""Stores columns that can be written but not read, in a table of their own that no query or image reads.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/serviceendpoint
"""

from __future__ import annotations

from collections.abc import Mapping

from dataverse_client.types import Entity
from runner.emulator.errors import IncorrectAttributeValueType, StringLengthTooLong
from runner.emulator.storage.store import Store

#: Column -> the column that tells whether it is set.
_COLUMNS = {
    "serviceendpoint": {"authvalue": "isauthvalueset", "saskey": "issaskeyset", "sastoken": "issastokenset"},
}


class WriteOnlyColumns:
    """The values of write-only columns. They are part of the transactions, like the rows they belong to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.execute(
            "CREATE TABLE IF NOT EXISTS write_only (row TEXT, name TEXT, value TEXT, PRIMARY KEY (row, name)) STRICT"
        )
        for table in _COLUMNS:
            store.execute(
                f"CREATE TRIGGER IF NOT EXISTS forget_{table} AFTER DELETE ON {table} "  # noqa: S608 - names of ours
                f"BEGIN DELETE FROM write_only WHERE row = OLD.{table}id; END"
            )

    def take(self, target: Entity) -> dict[str, str | None]:
        """Remove the secrets from a Target before it is stored, and set the columns that tell that they are set."""
        columns = _COLUMNS.get(target.logical_name, {})
        taken = {name: target.attributes.pop(name) for name in columns if name in target}
        for name, value in taken.items():
            self._check(target.logical_name, name, value)
            target[columns[name]] = bool(value)
        return taken

    def _check(self, table: str, name: str, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, str):
            raise IncorrectAttributeValueType.of(table, name, value, "text (str)")
        limit = self._store.metadata.tables[table].columns[name].max_length
        if limit is not None and len(value) > limit:
            raise StringLengthTooLong.of(table, name, limit)

    def keep(self, row: str, values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value:
                self._store.execute("INSERT OR REPLACE INTO write_only VALUES (?, ?, ?)", (row, name, value))
            else:
                self._store.execute("DELETE FROM write_only WHERE row = ? AND name = ?", (row, name))

    def values(self, row: str) -> dict[str, str]:
        return dict(self._store.execute("SELECT name, value FROM write_only WHERE row = ?", (row,)).fetchall())
