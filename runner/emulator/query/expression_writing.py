"""Converts a query of the model to a QueryExpression, if there is an equivalent one.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.queryexpression
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    FilterExpression,
    JoinOperator,
    LinkEntity,
    LogicalOperator,
    OrderExpression,
    OrderType,
    PagingInfo,
    QueryExpression,
)
from runner.emulator.metadata.model import Metadata, Table
from runner.emulator.query.link_types import JOINS, unmatched
from runner.emulator.query.model import And, ColumnRef, Condition, Exists, Filter, Link, Not, Operator, Or, Order, Query
from runner.emulator.query.paging import MAX_PAGE
from runner.emulator.query.sorting import has_label

_OPERATORS = {operator.value: operator for operator in ConditionOperator}
_NEGATED = {
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.IN: Operator.NOT_IN,
    Operator.LIKE: Operator.NOT_LIKE,
    Operator.NULL: Operator.NOT_NULL,
}
_JOIN_OPERATORS = {kind: JoinOperator(link_type) for link_type, kind in JOINS.items()}
#: OData's own text operators, as patterns of LIKE.
_PATTERNS = {Operator.CONTAINS: "%{}%", Operator.BEGINS_WITH: "{}%", Operator.ENDS_WITH: "%{}"}


class _NoExpressionError(Exception):
    """No QueryExpression is equivalent to the query."""


def to_query_expression(query: Query, metadata: Metadata) -> QueryExpression | None:
    """The equivalent QueryExpression; None when the query groups rows, has an alias or operator of its own, compares
    columns of two tables, or sorts choices by their values."""
    if query.aggregates or query.group_by or query.aliased or query.offset:
        return None
    tables = _tables(query, metadata)
    try:
        criteria, semi_joins = _criteria_and_semi_joins(query.where, None)
        orders = tuple(_order(order, tables) for order in query.orders)
        links = (*_links(query.links), *semi_joins)
    except _NoExpressionError:
        return None
    return QueryExpression(
        query.entity_name, query.columns, criteria, orders, query.top, _page_info(query), links, query.distinct
    )


def _tables(query: Query, metadata: Metadata) -> Mapping[str | None, Table]:
    """The tables that a query can be ordered by: the links' by alias, its own under None."""
    tables: dict[str | None, Table] = {None: metadata.tables[query.entity_name]}
    links = list(query.links)
    while links:
        link = links.pop()
        tables[link.alias] = metadata.tables[link.entity_name]
        links += link.links
    return tables


def _page_info(query: Query) -> PagingInfo | None:
    page = query.page
    if page is None:
        return PagingInfo(MAX_PAGE, return_total_record_count=True) if query.count else None
    return PagingInfo(page.size, page.number, page.cookie, query.count)


def _order(order: Order, tables: Mapping[str | None, Table]) -> OrderExpression:
    name, alias = order.column.name, order.column.alias
    column = tables[alias].columns.get(name)
    if column is not None and has_label(column) and not order.by_label:
        raise _NoExpressionError
    return OrderExpression(name, OrderType.DESCENDING if order.descending else OrderType.ASCENDING, alias)


# --- links ------------------------------------------------------------------------------------------------------


def _links(links: Iterable[Link]) -> tuple[LinkEntity, ...]:
    return tuple(_link(link, _JOIN_OPERATORS[link.kind]) for link in links)


def _link(link: Link, operator: JoinOperator) -> LinkEntity:
    criteria, semi_joins = _criteria_and_semi_joins(link.where, link.alias)
    return LinkEntity(
        link.entity_name,
        link.to_column,
        link.from_column,
        operator,
        link.columns,
        # A link to an intersect table that FetchXML left out has an alias that no query can name.
        link.alias if link.alias.isidentifier() else None,
        criteria,
        (*_links(link.links), *semi_joins),
    )


def _related(part: Filter) -> LinkEntity | None:
    """The link of a filter; None when the part is no condition on related rows."""
    match part:
        case Exists(link):
            return _link(link, JoinOperator.ANY)
        case And((Exists(), Not(Exists(link)))) if part == unmatched(link):
            return _link(link, JoinOperator.ALL)
        case Not(Exists(link)):
            return _link(link, JoinOperator.NOT_ANY)
    return None


# --- filters ----------------------------------------------------------------------------------------------------


def _criteria_and_semi_joins(
    where: Filter | None, alias: str | None
) -> tuple[FilterExpression, tuple[LinkEntity, ...]]:
    """The criteria of the query, or of the link with that alias, and its links that join no table."""
    if not isinstance(where, And) or _related(where) is not None:
        return _criteria(where, alias), ()
    semi_joins = tuple(_link(part.link, JoinOperator.EXISTS) for part in where.parts if isinstance(part, Exists))
    rest = tuple(part for part in where.parts if not isinstance(part, Exists))
    return _criteria(And(rest), alias), semi_joins


def _criteria(where: Filter | None, alias: str | None) -> FilterExpression:
    match where:
        case None:
            return FilterExpression()
        case And((And() | Or() as only,)):
            return _criteria(only, alias)
        case Or(parts) if parts:
            return _joined(LogicalOperator.OR, parts, alias)
        case And(parts) if _related(where) is None:
            return _joined(LogicalOperator.AND, parts, alias)
    return _joined(LogicalOperator.AND, (where,), alias)


def _joined(operator: LogicalOperator, parts: Iterable[Filter], alias: str | None) -> FilterExpression:
    conditions: list[ConditionExpression] = []
    filters: list[FilterExpression] = []
    links: list[LinkEntity] = []
    for part in parts:
        link = _related(part)
        if link is not None:
            links.append(link)
        elif isinstance(part, And | Or):
            filters.append(_criteria(part, alias))
        else:
            conditions.append(_condition(part, alias))
    # A filter has one link at most, so every other one gets a filter of its own.
    filters += [FilterExpression(any_all_filter_link_entity=link) for link in links[1:]]
    return FilterExpression(operator, tuple(conditions), tuple(filters), links[0] if links else None)


def _condition(part: Filter, alias: str | None) -> ConditionExpression:
    match part:
        case Not(Condition(column, operator, values)):
            operator, values = _as_pattern(operator, values)
            if operator in _NEGATED:
                return _expression(column, _NEGATED[operator], values, alias)
        case Condition(column, operator, values):
            if operator is Operator.CONTAINS:
                operator, values = _as_pattern(operator, values)
            return _expression(column, operator, values, alias)
    raise _NoExpressionError


def _as_pattern(operator: Operator, values: tuple[object, ...]) -> tuple[Operator, tuple[object, ...]]:
    if operator in _PATTERNS:
        return Operator.LIKE, (_PATTERNS[operator].format(*values),)
    return operator, values


def _expression(
    column: ColumnRef, operator: Operator, values: tuple[object, ...], alias: str | None
) -> ConditionExpression:
    if operator.value not in _OPERATORS or (column.alias is None and alias is not None):
        raise _NoExpressionError
    others = [value for value in values if isinstance(value, ColumnRef)]
    if any(other.alias != column.alias for other in others):
        raise _NoExpressionError
    entity_name = None if column.alias == alias else column.alias
    if others:
        values = tuple(other.name for other in others)
    return ConditionExpression(column.name, _OPERATORS[operator.value], values, entity_name, bool(others))
