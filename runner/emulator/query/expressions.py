"""Converts a query of the model to a QueryExpression, if there is an equivalent one.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.queryexpression
"""

from __future__ import annotations

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    FilterExpression,
    LogicalOperator,
    OrderExpression,
    OrderType,
    PagingInfo,
    QueryExpression,
)
from runner.emulator.metadata.model import Table
from runner.emulator.query.model import And, ColumnRef, Condition, Filter, Not, Operator, Or, Order, Query
from runner.emulator.query.paging import MAX_PAGE
from runner.emulator.query.sorting import has_label

_OPERATORS = {operator.value: operator for operator in ConditionOperator}
_NEGATED = {
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.IN: Operator.NOT_IN,
    Operator.LIKE: Operator.NOT_LIKE,
    Operator.NULL: Operator.NOT_NULL,
}
#: OData's own text operators, as patterns of LIKE.
_PATTERNS = {Operator.CONTAINS: "%{}%", Operator.BEGINS_WITH: "{}%", Operator.ENDS_WITH: "%{}"}


class _NoExpressionError(Exception):
    """No QueryExpression is equivalent to the query."""


def to_query_expression(query: Query, table: Table) -> QueryExpression | None:
    """The equivalent QueryExpression of a query of ``table``.

    None when the query joins tables, groups rows, has an operator of its own, or sorts choices by their values.
    """
    if query.links or query.aggregates or query.group_by or query.distinct or query.aliased or query.offset:
        return None
    try:
        criteria = _criteria(query.where)
        orders = tuple(_order(order, table) for order in query.orders)
    except _NoExpressionError:
        return None
    columns = None if query.columns == tuple(table.columns) else query.columns
    return QueryExpression(query.entity_name, columns, criteria, orders, query.top, _page_info(query))


def _page_info(query: Query) -> PagingInfo | None:
    page = query.page
    if page is None:
        return PagingInfo(MAX_PAGE, return_total_record_count=True) if query.count else None
    return PagingInfo(page.size, page.number, page.cookie, query.count)


def _order(order: Order, table: Table) -> OrderExpression:
    name = _name(order.column)
    column = table.columns.get(name)
    if column is not None and has_label(column) and not order.by_label:
        raise _NoExpressionError
    return OrderExpression(name, OrderType.DESCENDING if order.descending else OrderType.ASCENDING)


def _name(column: ColumnRef) -> str:
    if column.alias is not None:
        raise _NoExpressionError
    return column.name


def _criteria(where: Filter | None) -> FilterExpression:
    match where:
        case None:
            return FilterExpression()
        case And((And() | Or() as only,)):
            return _criteria(only)
        case Or(parts) if parts:
            return _joined(LogicalOperator.OR, parts)
        case And(parts):
            return _joined(LogicalOperator.AND, parts)
    return FilterExpression(conditions=(_condition(where),))


def _joined(operator: LogicalOperator, parts: tuple[Filter, ...]) -> FilterExpression:
    conditions = tuple(_condition(part) for part in parts if not isinstance(part, And | Or))
    return FilterExpression(
        operator, conditions, tuple(_criteria(part) for part in parts if isinstance(part, And | Or))
    )


def _condition(part: Filter) -> ConditionExpression:
    match part:
        case Not(Condition(column, operator, values)):
            operator, values = _as_pattern(operator, values)
            if operator in _NEGATED:
                return _expression(column, _NEGATED[operator], values)
        case Condition(column, operator, values):
            if operator is Operator.CONTAINS:
                operator, values = _as_pattern(operator, values)
            return _expression(column, operator, values)
    raise _NoExpressionError


def _as_pattern(operator: Operator, values: tuple[object, ...]) -> tuple[Operator, tuple[object, ...]]:
    if operator in _PATTERNS:
        return Operator.LIKE, (_PATTERNS[operator].format(*values),)
    return operator, values


def _expression(column: ColumnRef, operator: Operator, values: tuple[object, ...]) -> ConditionExpression:
    if operator.value not in _OPERATORS or any(isinstance(value, ColumnRef) for value in values):
        raise _NoExpressionError
    return ConditionExpression(_name(column), _OPERATORS[operator.value], values)
