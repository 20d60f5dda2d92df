"""Translates filters and links into SQL with bound parameters.

Unlike SQL's conditions, Dataverse's are either true or false: a negative comparison (``ne``, ``not-like``, ``not-in``)
is true for rows without a value, and ``not`` reverses every result.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/filter-rows
"""

from __future__ import annotations

from typing import Any

from runner.emulator.errors import InvalidArgument
from runner.emulator.metadata.model import AttributeType, Column, Table
from runner.emulator.query.hierarchies import lineage, team_owned
from runner.emulator.query.model import (
    And,
    ColumnRef,
    Condition,
    Exists,
    Filter,
    InFiscalPeriod,
    Lineage,
    Link,
    Not,
    Operator,
    Or,
    TeamOwned,
)
from runner.emulator.query.operands import operand
from runner.emulator.query.scope import Scope, comparable
from runner.emulator.storage.text import fold

_EVERY_ROW = "1"
_NO_ROW = "0"
#: Fiscal years are calendar years and their periods quarters, the default settings of an environment.
QUARTER = "((CAST(strftime('%m', {0}) AS INTEGER) + 2) / 3)"

_COMPARISONS = {
    Operator.EQUAL: "=",
    Operator.GREATER_THAN: ">",
    Operator.GREATER_EQUAL: ">=",
    Operator.LESS_THAN: "<",
    Operator.LESS_EQUAL: "<=",
}
#: Operators that are true exactly where another one is false.
_NEGATIONS = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_LIKE: Operator.LIKE,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_CONTAINS: Operator.CONTAINS,
    Operator.NOT_BEGINS_WITH: Operator.BEGINS_WITH,
    Operator.NOT_ENDS_WITH: Operator.ENDS_WITH,
    Operator.NOT_CONTAIN_VALUES: Operator.CONTAIN_VALUES,
}
#: Where the text stands in a LIKE pattern; it may hold wildcards of its own.
_PATTERNS = {Operator.LIKE: "{}", Operator.CONTAINS: "%{}%", Operator.BEGINS_WITH: "{}%", Operator.ENDS_WITH: "%{}"}


def where(scope: Scope, part: Filter | None, alias: str | None = None) -> str:
    """The SQL of a filter on the table ``alias``. Its values are bound in ``scope``, in the order of its placeholders.

    Raises:
      InvalidArgument: (one of its kinds) a column, alias, operator or value is wrong; the message names it.
    """
    match part:
        case None:
            return _EVERY_ROW
        case Condition():
            return _condition(scope, part)
        case And(parts):
            return _joined(scope, " AND ", parts, alias)
        case Or(parts):
            return _joined(scope, " OR ", parts, alias)
        case Not(inner):
            return f"({where(scope, inner, alias)}) IS NOT TRUE"
        case Exists(link):
            return _exists(scope, link, alias)
        case Lineage():
            return lineage(scope, part)
        case TeamOwned():
            return team_owned(scope, part)
        case InFiscalPeriod(column, period):
            return f"{QUARTER.format(scope.column(column)[2])} = {scope.bind(period)}"


def _joined(scope: Scope, word: str, parts: tuple[Filter, ...], alias: str | None) -> str:
    return f"({word.join(where(scope, part, alias) for part in parts)})" if parts else _EVERY_ROW


def join(scope: Scope, link: Link, parent: str | None) -> str:
    """The JOIN of a link to the table ``parent``, and of the links nested in it."""
    word = "LEFT JOIN" if link.kind == "outer" else "JOIN"
    first = _first(scope, link, parent) if link.kind == "first" else None
    table, condition = _linked(scope, link, parent)
    if first is not None:
        return f" {word} {table} ON {table.rpartition(' ')[2]}.rowid = {first}" + _joins(scope, link)
    # A filter of a link belongs to its ON, so that an outer join keeps the parents of the rows it leaves out.
    sql = f" {word} {table} ON {condition} AND {where(scope, link.where, link.alias)}"
    return sql + _joins(scope, link)


def _joins(scope: Scope, link: Link) -> str:
    return "".join(join(scope, inner, link.alias) for inner in link.links)


def _first(scope: Scope, link: Link, parent: str | None) -> str:
    """The rowid of the first row of the link that matches."""
    outside = dict(scope.tables)
    table, condition = _linked(scope, link, parent)
    inner_where = where(scope, link.where, link.alias)
    scope.tables = outside
    source = table.rpartition(" ")[2]
    return f"(SELECT min({source}.rowid) FROM {table} WHERE {condition} AND {inner_where})"  # noqa: S608 - as below


def _exists(scope: Scope, link: Link, parent: str | None) -> str:
    outside = dict(scope.tables)
    table, condition = _linked(scope, link, parent)
    joins = _joins(scope, link)
    inner_where = where(scope, link.where, link.alias)
    scope.tables = outside
    return f"EXISTS (SELECT 1 FROM {table}{joins} WHERE {condition} AND {inner_where})"  # noqa: S608 - names made here


def _linked(scope: Scope, link: Link, parent: str | None) -> tuple[str, str]:
    """The linked table with its SQL name, and the condition that joins it to its parent."""
    table, source = scope.add(link.entity_name, link.alias)
    _, own, own_sql = scope.column(ColumnRef(link.from_column, link.alias))
    _, parents, parents_sql = scope.column(ColumnRef(link.to_column, parent))
    return f'"{table.logical_name}" AS {source}', f"{comparable(own, own_sql)} = {comparable(parents, parents_sql)}"


def _condition(scope: Scope, condition: Condition) -> str:
    positive = _NEGATIONS.get(condition.operator)
    if positive is not None:
        return f"({_positive(scope, positive, condition)}) IS NOT TRUE"
    return _positive(scope, condition.operator, condition)


def _positive(scope: Scope, operator: Operator, condition: Condition) -> str:
    table, column, sql = scope.column(condition.column)
    values = condition.values
    if operator in (Operator.NULL, Operator.NOT_NULL):
        return f"{sql} IS {'NULL' if operator is Operator.NULL else 'NOT NULL'}"
    if operator is Operator.IN:
        return _one_of(scope, table, column, sql, values)
    if operator is Operator.CONTAIN_VALUES:
        return _holds_any(scope, table, column, sql, values)
    if operator in (Operator.BETWEEN, Operator.NOT_BETWEEN):
        low, high = _operands(condition, 2)
        between = (
            f"({_compared(scope, table, column, sql, Operator.GREATER_EQUAL, low)}"
            f" AND {_compared(scope, table, column, sql, Operator.LESS_EQUAL, high)})"
        )
        return between if operator is Operator.BETWEEN else f"NOT {between}"
    (value,) = _operands(condition, 1)
    if operator in _COMPARISONS:
        return _compared(scope, table, column, sql, operator, value)
    return _like(scope, table, column, sql, operator, value)


def _operands(condition: Condition, count: int) -> tuple[Any, ...]:
    if len(condition.values) != count:
        raise InvalidArgument(
            f"The operator '{condition.operator.value}' on '{condition.column.name}' takes {count} value(s), "
            f"not {len(condition.values)}."
        )
    return condition.values


def _compared(scope: Scope, table: Table, column: Column, sql: str, operator: Operator, value: Any) -> str:
    sign = _COMPARISONS[operator]
    if value is None:
        return f"{sql} IS NULL" if operator is Operator.EQUAL else _NO_ROW
    own = comparable(column, sql)
    if isinstance(value, ColumnRef):
        return f"{own} {sign} {_same_kind(scope, table, column, value)}"
    return f"{own} {sign} {scope.bind(_compared_value(table, column, value))}"


def _compared_value(table: Table, column: Column, value: Any) -> int | float | str:
    stored = operand(table.logical_name, column, value)
    return fold(stored) if column.is_text and isinstance(stored, str) else stored


def _same_kind(scope: Scope, table: Table, column: Column, other: ColumnRef) -> str:
    other_table, other_column, sql = scope.column(other)
    if (column.type, column.precision) != (other_column.type, other_column.precision) and not (
        column.is_text and other_column.is_text
    ):
        raise InvalidArgument(
            f"'{column.logical_name}' of '{table.logical_name}' ({column.type.value}) cannot be compared with "
            f"'{other_column.logical_name}' of '{other_table.logical_name}' ({other_column.type.value})."
        )
    return comparable(other_column, sql)


def _one_of(scope: Scope, table: Table, column: Column, sql: str, values: tuple[Any, ...]) -> str:
    stored = [_compared_value(table, column, value) for value in values if value is not None]
    has_null = len(stored) < len(values)
    found = f"{comparable(column, sql)} IN ({', '.join(scope.bind(value) for value in stored)})"
    return f"({found} OR {sql} IS NULL)" if has_null else found


def _holds_any(scope: Scope, table: Table, column: Column, sql: str, values: tuple[Any, ...]) -> str:
    if column.type is not AttributeType.MULTI_SELECT_PICKLIST:
        raise InvalidArgument(f"'{column.logical_name}' of '{table.logical_name}' is not a multi-select choice.")
    patterns = [f"%{operand(table.logical_name, column, value)}%" for value in values]
    return f"({' OR '.join(f'{sql} LIKE {scope.bind(pattern)}' for pattern in patterns)})" if patterns else _NO_ROW


def _like(scope: Scope, table: Table, column: Column, sql: str, operator: Operator, value: Any) -> str:
    if not column.is_text:
        raise InvalidArgument(
            f"The operator '{operator.value}' needs text; '{column.logical_name}' of '{table.logical_name}' "
            f"is {column.type.value}."
        )
    text = str(operand(table.logical_name, column, value))
    return _pattern(scope, sql, _PATTERNS[operator].format(text))


def _pattern(scope: Scope, sql: str, pattern: str) -> str:
    """Compare with SQLite's own LIKE, which is fast, unless ``[...]`` or letters beyond ASCII need ``matches``."""
    if "[" in pattern or not pattern.isascii():
        return f"matches({scope.bind(pattern)}, {sql})"
    plain = f"{sql} LIKE {scope.bind(pattern)}"
    return f"({plain} OR ({sql} GLOB '*[^ -~]*' AND matches({scope.bind(pattern)}, {sql})))"
