"""Runs aggregate queries: groups, and the counts and sums in them, as aliased values.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/aggregate-data
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from dataverse_client.types import AliasedValue, Entity, EntityCollection, Money
from runner.emulator.errors import AttributeNotFound, InvalidArgument
from runner.emulator.metadata.model import AttributeType, Column, Table
from runner.emulator.query.conditions import QUARTER, join, where
from runner.emulator.query.model import Aggregate, ColumnRef, GroupBy, Page, Query
from runner.emulator.query.paging import page_of, write_cookie
from runner.emulator.query.scope import Scope, comparable
from runner.emulator.storage.store import Store
from runner.emulator.storage.values import MONEY_SCALE

_DATE_PARTS = {
    "year": "CAST(strftime('%Y', {0}) AS INTEGER)",
    "quarter": QUARTER,
    "month": "CAST(strftime('%m', {0}) AS INTEGER)",
    # Week 1 is the week of 1 January; weeks begin on Sunday.
    "week": "(strftime('%j', {0}) - 1 + strftime('%w', {0}, 'start of year')) / 7 + 1",
    "day": "CAST(strftime('%d', {0}) AS INTEGER)",
    "fiscal-year": "CAST(strftime('%Y', {0}) AS INTEGER)",
    # The year and the number of its period: 20233.
    "fiscal-period": f"CAST(strftime('%Y', {{0}}) AS INTEGER) * 10 + {QUARTER}",
}
#: The formatted value of a fiscal date part.
_FISCAL_NAMES: dict[str, Callable[[int], str]] = {
    "fiscal-year": lambda year: f"FY{year}",
    "fiscal-period": lambda period: f"Quarter {period % 10} FY{period // 10}",
}
_AGGREGATE_LIMIT_EXCEEDED = 0x8004E023
_EVERY_GROUP = Page(2**31)
_WHOLE_NUMBERS = (AttributeType.INTEGER, AttributeType.BIG_INT)
_NUMBERS = (
    *_WHOLE_NUMBERS,
    AttributeType.DECIMAL,
    AttributeType.DOUBLE,
    AttributeType.MONEY,
)


@dataclass(frozen=True, slots=True)
class _Output:
    """One aliased value of the result: its SQL, what reads its value, and what formats it if its column does not.

    ``key`` is the SQL that groups and sorts, if it is not that of the value.
    """

    alias: str
    entity_name: str
    attribute: str
    sql: str
    read: Callable[[Any], Any]
    show: Callable[[Any], str] | None = None
    key: str | None = None


def run_aggregates(store: Store, query: Query) -> EntityCollection:
    """Run an aggregate query. Returns the groups, each an entity of aliased values.

    Raises:
      InvalidArgument: (one of its kinds) a column, alias or function is wrong; the message names it.
    """
    scope = Scope(store)
    table, source = scope.add(query.entity_name, None)
    joins = "".join(join(scope, link, None) for link in query.links)
    condition = where(scope, query.where)
    groups = [_group(scope, group) for group in query.group_by]
    source_of_rows = f'FROM "{table.logical_name}" AS {source}{joins} WHERE {condition}'
    _check_limit(store, query, source_of_rows, scope.parameters)
    outputs = [*groups, *(_aggregate(scope, aggregate) for aggregate in query.aggregates)]
    sql = (
        f"SELECT {', '.join(output.sql for output in outputs)}"
        f" {source_of_rows}"
        f"{_group_by(groups)}{_order_by(query, outputs)} LIMIT ? OFFSET ?"
    )
    page = page_of(query) if query.top is not None or query.page is not None else _EVERY_GROUP
    limits = (page.size if query.top is not None else page.size + 1, query.offset + (page.number - 1) * page.size)
    try:
        rows = store.execute(sql, (*scope.parameters, *limits)).fetchall()
    except sqlite3.OperationalError as error:
        raise InvalidArgument(f"The aggregate of {query.entity_name} cannot be computed: {error}") from error
    entities = [_entity(query.entity_name, outputs, row) for row in rows[: page.size]]
    if len(rows) > page.size:
        return EntityCollection(entities, query.entity_name, True, write_cookie(page.number, ()))
    return EntityCollection(entities, query.entity_name)


def _check_limit(store: Store, query: Query, source_of_rows: str, parameters: Sequence[object]) -> None:
    sql = f"SELECT COUNT(*) FROM (SELECT 1 {source_of_rows} LIMIT ?)"  # noqa: S608 - as above
    if store.execute(sql, (*parameters, query.aggregate_limit + 1)).fetchone()[0] > query.aggregate_limit:
        raise InvalidArgument(
            "AggregateQueryRecordLimit exceeded. Cannot perform this operation.", code=_AGGREGATE_LIMIT_EXCEEDED
        )


def _entity(entity_name: str, outputs: Sequence[_Output], row: Sequence[Any]) -> Entity:
    values = {
        output.alias: AliasedValue(output.entity_name, output.attribute, output.read(stored))
        for output, stored in zip(outputs, row, strict=True)
        if stored is not None
    }
    entity = Entity(entity_name, None, values)
    for output, stored in zip(outputs, row, strict=True):
        if output.show is not None and stored is not None:
            entity.formatted_values[output.alias] = output.show(stored)
    return entity


def _group_by(groups: Sequence[_Output]) -> str:
    return f" GROUP BY {', '.join(group.key or group.sql for group in groups)}" if groups else ""


def _order_by(query: Query, outputs: Sequence[_Output]) -> str:
    """The ORDER BY clause. An aggregate query is sorted by the aliases of its outputs."""
    keys = {output.alias: output.key or output.sql for output in outputs}
    terms = []
    for order in query.orders:
        if order.column.name not in keys:
            raise AttributeNotFound.named(query.entity_name, order.column.name)
        terms.append(f"{keys[order.column.name]} {'DESC' if order.descending else 'ASC'}")
    return f" ORDER BY {', '.join(terms)}" if terms else ""


def _group(scope: Scope, group: GroupBy) -> _Output:
    table, column, sql = scope.column(group.column)
    if group.date_grouping is not None:
        if column.type is not AttributeType.DATE_TIME:
            raise InvalidArgument(f"'{column.logical_name}' of '{table.logical_name}' is not a date to group by.")
        return _date_part(group.alias, table, column, group.date_grouping, sql)
    _, _, selected, decode = scope.selected(group.column)
    key = comparable(column, selected)
    return _Output(group.alias, table.logical_name, column.logical_name, selected, decode, key=key)


def _date_part(alias: str, table: Table, column: Column, grouping: str, sql: str) -> _Output:
    part = _DATE_PARTS[grouping].format(sql)
    read: Callable[[int], int] = (lambda period: period % 10) if grouping == "fiscal-period" else int
    return _Output(alias, table.logical_name, column.logical_name, part, read, _FISCAL_NAMES.get(grouping))


def _aggregate(scope: Scope, aggregate: Aggregate) -> _Output:
    if aggregate.column is None:
        table = scope.tables[None][0]
        return _Output(aggregate.alias, table.logical_name, table.primary_id_attribute, "COUNT(*)", int)
    table, column, _ = scope.column(aggregate.column)
    of = aggregate.column if aggregate.function.startswith("count") else _comparable(aggregate.column, table, column)
    sql = scope.column(of)[2]
    counted = f"DISTINCT {comparable(column, sql)}" if aggregate.distinct else sql
    if aggregate.function == "count" and not aggregate.distinct:
        counted = "*"
    if aggregate.function in ("count", "countcolumn"):
        return _Output(aggregate.alias, table.logical_name, column.logical_name, f"COUNT({counted})", int)
    if aggregate.function in ("sum", "avg") and column.type not in _NUMBERS:
        raise InvalidArgument(f"'{column.logical_name}' of '{table.logical_name}' is not a number to aggregate.")
    if aggregate.function == "avg":
        # SQLite averages in floating point; the sum and the count are exact.
        average = f"SUM({counted}) || ' ' || NULLIF(COUNT({counted}), 0)"
        return _Output(aggregate.alias, table.logical_name, column.logical_name, average, _average(column))
    _, _, _, decode = scope.selected(aggregate.column)
    function = f"{aggregate.function.upper()}({counted})"
    if aggregate.function == "sum" and column.type in _WHOLE_NUMBERS:
        function = f"COALESCE({function}, 0)"
    return _Output(aggregate.alias, table.logical_name, column.logical_name, function, decode)


def _comparable(ref: ColumnRef, table: Table, column: Column) -> ColumnRef:
    """The column to aggregate: of an amount its value in the base currency, as rows may have different currencies."""
    base = table.columns.get(f"{column.logical_name}_base")
    return replace(ref, name=base.logical_name) if base is not None and base.base_of == column.logical_name else ref


def _average(column: Column) -> Callable[[str], Any]:
    places = MONEY_SCALE if column.type is AttributeType.MONEY else column.precision or 0
    if column.type is AttributeType.DOUBLE:
        places = 0

    def read(sum_and_count: str) -> Any:
        total, count = map(Decimal, sum_and_count.split())
        average = (total / count).scaleb(-places)
        if column.type is AttributeType.MONEY:
            return Money(round(average, MONEY_SCALE))
        return int(average) if column.type in _WHOLE_NUMBERS else average

    return read
