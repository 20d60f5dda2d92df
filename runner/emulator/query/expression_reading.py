"""Converts a QueryExpression to a query of the model.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/queryexpression/overview
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dataverse_client.types import (
    ConditionExpression,
    FilterExpression,
    LinkEntity,
    LogicalOperator,
    OrderExpression,
    OrderType,
    QueryExpression,
)
from runner.emulator.errors import EntityNotFound, InvalidArgument
from runner.emulator.metadata.model import Metadata
from runner.emulator.query.fetchxml_conditions import relative_condition
from runner.emulator.query.fetchxml_elements import (
    ALIAS_DOES_NOT_EXIST,
    INVALID_LINK_TYPE,
    INVALID_NODE,
    INVALID_OPERATOR,
    LINK_FOR_ORDER_NOT_FOUND,
    check_alias,
    refusal,
)
from runner.emulator.query.fetchxml_sources import Source
from runner.emulator.query.link_types import FILTER_LINKS, JOINS, MAX_LINKS, SEMI_JOINS, TOO_MANY_LINKS, Kind, related
from runner.emulator.query.model import (
    COMPARING_COLUMNS,
    MAX_TOP,
    And,
    ColumnRef,
    Condition,
    Exists,
    Filter,
    Link,
    Operator,
    Or,
    Order,
    Page,
    Query,
)
from runner.emulator.query.viewpoint import Viewpoint

#: The operators of the query model, which need no viewpoint.
_OPERATORS = {operator.value: operator for operator in Operator}


def from_query_expression(
    expression: QueryExpression, metadata: Metadata, viewpoint: Callable[[], Viewpoint] | None = None
) -> Query:
    """Convert a QueryExpression. A page number or size of 0 counts as not set, as in .NET.

    Without a ``viewpoint`` conditions that are relative to the time or the caller are refused.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/queryexpression/order-rows

    Raises:
      InvalidArgument: TopCount or the number of links is above the limit, or a link or the name of one is not valid.
    """
    paging = expression.page_info
    if expression.top_count is not None and expression.top_count > MAX_TOP:
        raise InvalidArgument(f"The TopCount must be a number between 0 and {MAX_TOP}, not {expression.top_count}.")
    reader = _Reader(expression, metadata, viewpoint)
    links, semi_joins = reader.links(expression.link_entities)
    return Query(
        expression.entity_name,
        expression.column_set,
        _both(reader.filter(expression.criteria, None), semi_joins),
        reader.orders,
        links,
        distinct=expression.distinct,
        top=expression.top_count,
        page=Page(paging.count or MAX_TOP, paging.page_number or 1, paging.paging_cookie) if paging else None,
        count=paging is not None and paging.return_total_record_count,
    )


def _returns_columns(link: LinkEntity) -> bool:
    return link.columns is None or bool(link.columns or link.orders) or any(map(_returns_columns, link.link_entities))


def _both(where: Filter, more: Sequence[Filter]) -> Filter:
    return And((where, *more)) if more else where


class _Reader:
    """Reads the parts of one QueryExpression, in the order in which :meth:`QueryExpression.named_links` numbers links.

    The names of links are collected first, because conditions may name a link that comes later.
    """

    def __init__(
        self, expression: QueryExpression, metadata: Metadata, viewpoint: Callable[[], Viewpoint] | None
    ) -> None:
        self._metadata = metadata
        self._viewpoint = viewpoint
        links = list(expression.named_links())
        if len(links) > MAX_LINKS:
            raise refusal(TOO_MANY_LINKS, "Number of link entities in query exceeded maximum limit.")
        self._aliases = iter([alias for alias, _ in links])
        self._tables: dict[str | None, str] = {None: expression.entity_name}
        self._tables |= {alias: link.link_to_entity_name for alias, link in links}
        #: An alias goes before the name of a table, and a linked table before the query's own.
        self._named: dict[str, str | None] = {expression.entity_name: None}
        self._named |= {link.link_to_entity_name: alias for alias, link in reversed(links) if not link.entity_alias}
        self._named |= {check_alias(link.entity_alias): alias for alias, link in links if link.entity_alias}
        self._orders: list[Order] = self._order_all(expression.orders, None)

    @property
    def orders(self) -> tuple[Order, ...]:
        """The query's own orders, and then those of the links read so far."""
        return tuple(self._orders)

    # --- links ---------------------------------------------------------------------------------------------

    def links(self, links: Iterable[LinkEntity]) -> tuple[tuple[Link, ...], list[Filter]]:
        """The links that join tables, and the others as conditions."""
        joined: list[Link] = []
        conditions: list[Filter] = []
        for link in links:
            if link.join_operator in JOINS:
                joined.append(self._link(link, JOINS[link.join_operator]))
            elif link.join_operator in SEMI_JOINS:
                conditions.append(self._exists(link))
            else:
                raise refusal(
                    INVALID_LINK_TYPE,
                    f"The JoinOperator '{link.join_operator}' of the link to '{link.link_to_entity_name}' is allowed "
                    "as a filter's AnyAllFilterLinkEntity only.",
                )
        return tuple(joined), conditions

    def _link(self, link: LinkEntity, kind: Kind) -> Link:
        alias = next(self._aliases)
        self._orders += self._order_all(link.orders, alias)
        links, semi_joins = self.links(link.link_entities)
        where = _both(self.filter(link.link_criteria, alias), semi_joins)
        return Link(
            link.link_to_entity_name,
            link.link_to_attribute_name,
            link.link_from_attribute_name,
            alias,
            kind,
            link.columns,
            where,
            links,
        )

    def _exists(self, link: LinkEntity) -> Exists:
        if _returns_columns(link):
            raise refusal(
                INVALID_NODE,
                f"The link to '{link.link_to_entity_name}' with the JoinOperator '{link.join_operator}' returns no "
                "rows, so neither it nor a link within it can have columns or orders.",
            )
        return Exists(self._link(link, "inner"))

    # --- filters -------------------------------------------------------------------------------------------

    def filter(self, criteria: FilterExpression, alias: str | None) -> Filter:
        """The filter of the link with that alias; None is the query's own."""
        parts: tuple[Filter, ...] = tuple(self._condition(each, alias) for each in criteria.conditions)
        if criteria.any_all_filter_link_entity is not None:
            parts = (*parts, self._related(criteria.any_all_filter_link_entity))
        parts = (*parts, *(self.filter(inner, alias) for inner in criteria.filters))
        return Or(parts) if criteria.operator is LogicalOperator.OR else And(parts)

    def _related(self, link: LinkEntity) -> Filter:
        if link.join_operator not in FILTER_LINKS:
            raise refusal(
                INVALID_LINK_TYPE,
                "The JoinOperator of a filter's AnyAllFilterLinkEntity must be one of "
                f"{', '.join(sorted(FILTER_LINKS))}, not '{link.join_operator}'.",
            )
        return related(link.join_operator, self._exists(link))

    def _condition(self, condition: ConditionExpression, alias: str | None) -> Filter:
        ref = self._column(condition.attribute_name, condition.entity_name, alias, ALIAS_DOES_NOT_EXIST)
        operator = _OPERATORS.get(condition.operator.value)
        if condition.compare_columns:
            return _compared(condition, ref, operator)
        return self._relative(condition, ref) if operator is None else Condition(ref, operator, condition.values)

    def _relative(self, condition: ConditionExpression, ref: ColumnRef) -> Filter:
        if self._viewpoint is None:
            raise refusal(
                INVALID_OPERATOR,
                f"The operator '{condition.operator}' on '{ref.name}' depends on the caller and the time: send the "
                "query by RetrieveMultiple.",
            )
        name = self._tables[ref.alias]
        if name not in self._metadata.tables:
            raise EntityNotFound.named(name)
        column = Source(self._metadata.tables[name], ref.alias).column(ref.name)
        return relative_condition(condition.operator.value, condition.values, ref, column, self._viewpoint())

    def _order_all(self, orders: Iterable[OrderExpression], alias: str | None) -> list[Order]:
        return [
            Order(
                self._column(order.attribute_name, order.entity_name, alias, LINK_FOR_ORDER_NOT_FOUND),
                order.order_type is OrderType.DESCENDING,
                by_label=True,
            )
            for order in orders
        ]

    def _column(self, name: str, entity_name: str | None, alias: str | None, code: int) -> ColumnRef:
        if not entity_name:
            return ColumnRef(name, alias)
        if entity_name not in self._named:
            raise refusal(code, f"No LinkEntity of the query has the name or alias '{entity_name}'.")
        return ColumnRef(name, self._named[entity_name])


def _compared(condition: ConditionExpression, ref: ColumnRef, operator: Operator | None) -> Condition:
    if operator not in COMPARING_COLUMNS or len(condition.values) != 1:
        raise refusal(
            INVALID_OPERATOR,
            f"A condition on '{ref.name}' that compares columns takes one of the operators "
            f"{', '.join(sorted(COMPARING_COLUMNS))} and the name of one other column.",
        )
    return Condition(ref, operator, (ColumnRef(condition.values[0], ref.alias),))
