"""Writes queries and column sets as .NET's serializer does. They are not read, as .NET's have more features than ours.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.queryexpression
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

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

Encode: TypeAlias = Callable[[Any], Any]

#: Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.conditionoperator
_UNUSED_NUMBERS = frozenset({45, 46, 47, 48, 49, 50, 52})
_OPERATORS = dict(zip(ConditionOperator, (each for each in range(89) if each not in _UNUSED_NUMBERS), strict=True))
#: Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.joinoperator
_JOIN_OPERATORS = {
    JoinOperator.INNER: 0,
    JoinOperator.LEFT_OUTER: 1,
    JoinOperator.MATCH_FIRST_ROW_USING_CROSS_APPLY: 3,
    JoinOperator.IN: 4,
    JoinOperator.EXISTS: 5,
    JoinOperator.ANY: 6,
    JoinOperator.NOT_ANY: 7,
    JoinOperator.ALL: 8,
    JoinOperator.NOT_ALL: 9,
}


def encode_query(query: QueryExpression, encode: Encode) -> dict[str, Any]:
    """A QueryExpression; ``encode`` writes the values of its conditions."""
    members = {
        "ColumnSet": encode_columns(query.column_set),
        "Criteria": _filter(query.criteria, query.entity_name, encode),
        "Distinct": query.distinct,
        "EntityName": query.entity_name,
        "LinkEntities": [_link(link, query.entity_name, encode) for link in query.link_entities],
        "Orders": _orders(query.orders),
        "PageInfo": _paging(query.page_info),
        "NoLock": False,
        "QueryHints": "",
    }
    return members if query.top_count is None else {**members, "TopCount": query.top_count}


def encode_columns(columns: Sequence[str] | None) -> dict[str, Any]:
    """A ColumnSet; None is every column."""
    return {"AllColumns": columns is None, "AttributeExpressions": [], "Columns": list(columns or ())}


def _link(link: LinkEntity, linked_from: str, encode: Encode) -> dict[str, Any]:
    own = link.link_to_entity_name
    return {
        "Columns": encode_columns(link.columns),
        "EntityAlias": link.entity_alias,
        "JoinOperator": _JOIN_OPERATORS[link.join_operator],
        "LinkCriteria": _filter(link.link_criteria, own, encode),
        "LinkEntities": [_link(inner, own, encode) for inner in link.link_entities],
        "LinkFromAttributeName": link.link_from_attribute_name,
        "LinkFromEntityName": linked_from,
        "LinkToAttributeName": link.link_to_attribute_name,
        "LinkToEntityName": own,
        "Orders": _orders(link.orders),
    }


def _orders(orders: Iterable[OrderExpression]) -> list[dict[str, Any]]:
    return [_order(order) for order in orders]


def _order(order: OrderExpression) -> dict[str, Any]:
    members = {
        "Alias": None,
        "AttributeName": order.attribute_name,
        "OrderType": int(order.order_type is OrderType.DESCENDING),
    }
    return members if order.entity_name is None else {**members, "EntityName": order.entity_name}


def _filter(criteria: FilterExpression, table: str, encode: Encode) -> dict[str, Any]:
    """The filter of that table, or of a link to it."""
    members = {
        "Conditions": [_condition(condition, encode) for condition in criteria.conditions],
        "FilterOperator": int(criteria.operator is LogicalOperator.OR),
        "Filters": [_filter(inner, table, encode) for inner in criteria.filters],
    }
    related = criteria.any_all_filter_link_entity
    return members if related is None else {**members, "AnyAllFilterLinkEntity": _link(related, table, encode)}


def _condition(condition: ConditionExpression, encode: Encode) -> dict[str, Any]:
    return {
        "AttributeName": condition.attribute_name,
        "CompareColumns": condition.compare_columns,
        "Operator": _OPERATORS[condition.operator],
        "Values": [encode(value) for value in condition.values],
        "EntityName": condition.entity_name,
    }


def _paging(paging: PagingInfo | None) -> dict[str, Any]:
    return {
        "Count": paging.count if paging else 0,
        "PageNumber": paging.page_number if paging else 0,
        "PagingCookie": paging.paging_cookie if paging else None,
        "ReturnTotalRecordCount": paging is not None and paging.return_total_record_count,
    }
