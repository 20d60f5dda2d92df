"""Turns rows of a SELECT into entities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dataverse_client.types import Entity
from runner.emulator.errors import AttributeNotFound
from runner.emulator.metadata.model import AttributeType, Table
from runner.emulator.storage.store import Store


class Reader:
    """Reads ``columns`` (None: all) of ``table``. As in Dataverse, the currency is always included with amounts.

    ``select`` lists the SQL expressions, each qualified by ``source``. A ``keyed`` reader also reads the id and the row
    version, before the columns.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/transaction-currency-currency-entity
    """

    __slots__ = ("_keyed", "_primary_id", "_table_name", "decoders", "select")

    def __init__(
        self,
        store: Store,
        table: Table,
        columns: Sequence[str] | None,
        source: str | None = None,
        *,
        keyed: bool = True,
    ) -> None:
        self._table_name = table.logical_name
        self._primary_id = table.primary_id_attribute
        self._keyed = keyed
        codecs = store.codecs[table.logical_name]
        prefix = f'"{source or table.logical_name}".'
        wanted = _with_currency(table, columns)
        #: Column names and the functions that decode their stored values, in the order of ``select``.
        self.decoders = [(name, codecs[name].decode) for name in wanted]
        self.select = [codecs[name].select(prefix) for name in wanted]
        if keyed:
            version = f'{prefix}"versionnumber"' if "versionnumber" in table.columns else "NULL"
            self.select = [f'{prefix}"{self._primary_id}"', version, *self.select]

    def read(self, row: Sequence[Any]) -> Entity:
        """The row as an entity. Columns without a value are absent."""
        if not self._keyed:
            return Entity(self._table_name, None, self._attributes(row))
        id, version = row[:2]
        entity = Entity(self._table_name, id, row_version=version and str(version))
        entity.attributes = self._attributes(row[2:])
        entity.attributes[self._primary_id] = id
        return entity

    def _attributes(self, stored: Sequence[Any]) -> dict[str, Any]:
        """The values of the reader's columns; ``stored`` may hold more values after them."""
        columns = zip(self.decoders, stored, strict=False)
        return {name: decode(value) for (name, decode), value in columns if value is not None}


def check_columns(table: Table, columns: Iterable[str]) -> None:
    """Raises AttributeNotFound for the first column that the table does not have."""
    for name in columns:
        if name not in table.columns:
            raise AttributeNotFound.named(table.logical_name, name, table.columns)


def _with_currency(table: Table, columns: Sequence[str] | None) -> tuple[str, ...]:
    wanted = dict.fromkeys(table.columns if columns is None else columns)
    check_columns(table, wanted)
    if "transactioncurrencyid" in table.columns and any(table.columns[c].type is AttributeType.MONEY for c in wanted):
        wanted["transactioncurrencyid"] = None
    return tuple(wanted)
