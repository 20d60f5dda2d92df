"""Translates an order to SQL: by a column's value, or by the text shown for it."""

from __future__ import annotations

from runner.emulator.query.model import Order
from runner.emulator.query.name_columns import shown_sql
from runner.emulator.query.scope import Scope, comparable
from runner.emulator.storage.text import folded


def sort_sql(scope: Scope, order: Order) -> str:
    """The SQL expression that an order sorts by.

    Raises:
      InvalidArgument: (one of its kinds) there is no such column.
    """
    _, column, sql = scope.column(order.column)
    if order.by_label and (column.is_lookup or (column.is_choice and column.options)):
        return folded(shown_sql(scope.store.metadata, column, sql))
    return comparable(column, sql)
