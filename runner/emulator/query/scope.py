"""Resolves the tables and columns of a query, and names them in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.emulator.errors import AttributeNotFound, EntityNotFound, InvalidArgument
from runner.emulator.metadata.model import Column, Table
from runner.emulator.query.model import ColumnRef
from runner.emulator.query.name_columns import name_column, shown_sql
from runner.emulator.storage.store import Store
from runner.emulator.storage.text import folded
from runner.emulator.storage.values import Decode


@dataclass(slots=True)
class Scope:
    """The tables of one statement by alias. Their names in SQL are generated, so a client's alias never reaches it."""

    store: Store
    tables: dict[str | None, tuple[Table, str]] = field(default_factory=dict)
    parameters: list[object] = field(default_factory=list)

    def table(self, logical_name: str) -> Table:
        """The table of that name. Raises EntityNotFound."""
        table = self.store.metadata.tables.get(logical_name)
        if table is None:
            raise EntityNotFound.named(logical_name)
        return table

    def add(self, logical_name: str, alias: str | None) -> tuple[Table, str]:
        """Add a table under ``alias`` (None: the query's own). Returns the table and its SQL name.

        Raises:
          EntityNotFound: there is no such table.
          InvalidArgument: the alias is taken.
        """
        if alias in self.tables:
            raise InvalidArgument(f"The alias '{alias}' is used by more than one linked table.")
        entry = self.tables[alias] = (self.table(logical_name), f"t{len(self.tables)}")
        return entry

    def column(self, reference: ColumnRef) -> tuple[Table, Column, str]:
        """The table, the column and the SQL of its value.

        Raises:
          InvalidArgument: no linked table has that alias.
          AttributeNotFound: the table has no such column.
        """
        entry = self.tables.get(reference.alias)
        if entry is None:
            raise InvalidArgument(f"No linked table has the alias '{reference.alias}'.")
        table, source = entry
        column = table.columns.get(reference.name)
        if column is not None:
            return table, column, f'{source}."{reference.name}"'
        virtual = name_column(table, reference.name)
        if virtual is None:
            raise AttributeNotFound.named(table.logical_name, reference.name, table.columns)
        return (
            table,
            virtual.column,
            shown_sql(self.store.metadata, virtual.of, f'{source}."{virtual.of.logical_name}"'),
        )

    def selected(self, reference: ColumnRef) -> tuple[Table, Column, str, Decode]:
        """As :meth:`column`, but with SQL that selects the value, and the function that decodes it."""
        table, column, sql = self.column(reference)
        codec = self.store.codecs[table.logical_name].get(column.logical_name)
        if codec is None or column.is_text:
            return table, column, sql, str
        return table, column, codec.select(sql[: sql.index(".") + 1]), codec.decode

    def bind(self, value: object) -> str:
        """Bind ``value``. Returns its placeholder."""
        self.parameters.append(value)
        return "?"


def comparable(column: Column, sql: str) -> str:
    """The SQL that is equal for values of ``column`` that Dataverse considers equal, and sorts them as it does.

    ``sql`` is that of the value.
    """
    return folded(sql) if column.is_text else sql
