"""Translates an order to SQL: by a column's value, or by the text shown for it."""

from __future__ import annotations

from runner.emulator.metadata.model import Column
from runner.emulator.query.model import Order
from runner.emulator.query.name_columns import shown_sql
from runner.emulator.query.scope import Scope, comparable
from runner.emulator.storage.text import folded


def has_label(column: Column) -> bool:
    """Whether another text than the column's value is shown for it: a choice's label, or the name of a row."""
    return column.is_lookup or (column.is_choice and bool(column.options))


def sort_sql(scope: Scope, order: Order) -> str:
    """The SQL expression that an order sorts by.

    Raises:
      InvalidArgument: (one of its kinds) there is no such column.
    """
    _, column, sql = scope.column(order.column)
    if order.by_label and has_label(column):
        return folded(shown_sql(scope.store.metadata, column, sql))
    return comparable(column, sql)
