"""What rows are sorted by: a value, or what a person reads in its place."""

from __future__ import annotations

from runner.emulator.metadata.model import Column
from runner.emulator.query.model import Order
from runner.emulator.query.scope import Scope


def sort_sql(scope: Scope, order: Order) -> str:
    """The SQL of what an order sorts by.

    Raises:
      InvalidArgument: (one of its kinds) there is no such column.
    """
    _, column, sql = scope.column(order.column)
    if order.by_label and column.is_lookup:
        return _name(scope, column, sql)
    return _label(column, sql) if order.by_label and column.is_choice else sql


def _name(scope: Scope, column: Column, sql: str) -> str:
    """The primary name of the row a lookup refers to, in whichever table that is."""
    names = []
    for target in column.targets:
        table = scope.store.metadata.tables.get(target)
        if table is not None and table.primary_name_attribute is not None:
            names.append(
                f'(SELECT "{table.primary_name_attribute}" FROM "{target}"'  # noqa: S608 - metadata's names
                f' WHERE "{table.primary_id_attribute}" = {sql})'
            )
    # NULL, because COALESCE takes two at least.
    return f"COALESCE({', '.join(names)}, NULL) COLLATE NOCASE" if names else sql


def _label(column: Column, sql: str) -> str:
    # A key stands in several places of a statement, so its texts are written out instead of bound.
    cases = "".join(f" WHEN {option.value:d} THEN {_quoted(option.label)}" for option in column.options)
    return f"(CASE {sql}{cases} END) COLLATE NOCASE" if cases else sql


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "''").replace("\0", ""))
