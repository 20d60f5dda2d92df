"""Rows of a SELECT -> entities, for one table and one set of columns, made once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dataverse_client.types import Entity
from runner.emulator.errors import AttributeNotFound
from runner.emulator.metadata.model import AttributeType, Table
from runner.emulator.store import Store


class Reader:
    """Reads ``columns`` (None: all) of ``table``. As in Dataverse the id always comes, the currency with any money.

    ``select`` is the list of SQL expressions, each column qualified by ``source``.
    """

    def __init__(self, store: Store, table: Table, columns: Sequence[str] | None, source: str | None = None) -> None:
        self.table = table
        self.columns = _with_currency(table, columns)
        codecs = store.codecs[table.logical_name]
        prefix = f'"{source or table.logical_name}".'
        self._decoders = [(name, codecs[name].decode) for name in self.columns]
        self._versioned = "versionnumber" in table.columns
        version = f'{prefix}"versionnumber"' if self._versioned else "NULL"
        self.select = [
            f'{prefix}"{table.primary_id_attribute}"',
            version,
            *(codecs[name].select(prefix) for name in self.columns),
        ]
        self.sql = ", ".join(self.select)

    def read(self, row: Sequence[Any]) -> Entity:
        """The row as an entity. Columns without a value are absent."""
        id = row[0]
        entity = Entity(self.table.logical_name, id)
        if row[1] is not None:
            entity.row_version = str(row[1])
        attributes = entity.attributes
        attributes[self.table.primary_id_attribute] = id
        for (name, decode), stored in zip(self._decoders, row[2:], strict=True):
            if stored is not None:
                attributes[name] = decode(stored)
        return entity


def check_columns(table: Table, columns: Iterable[str]) -> None:
    """Raises AttributeNotFound, naming the first column the table has not."""
    for name in columns:
        if name not in table.columns:
            raise AttributeNotFound.named(table.logical_name, name)


def _with_currency(table: Table, columns: Sequence[str] | None) -> tuple[str, ...]:
    wanted = dict.fromkeys(table.columns if columns is None else columns)
    check_columns(table, wanted)
    wanted.pop(table.primary_id_attribute, None)
    if "transactioncurrencyid" in table.columns and any(table.columns[c].type is AttributeType.MONEY for c in wanted):
        wanted["transactioncurrencyid"] = None
    return tuple(wanted)
