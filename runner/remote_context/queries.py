"""Writes queries and column sets as .NET's serializer does. They are not read, as .NET's have more features than ours.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.queryexpression
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    FilterExpression,
    LogicalOperator,
    OrderType,
    PagingInfo,
    QueryExpression,
)

Encode: TypeAlias = Callable[[Any], Any]

#: Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.conditionoperator
_OPERATORS = {
    ConditionOperator.EQUAL: 0,
    ConditionOperator.NOT_EQUAL: 1,
    ConditionOperator.GREATER_THAN: 2,
    ConditionOperator.LESS_THAN: 3,
    ConditionOperator.GREATER_EQUAL: 4,
    ConditionOperator.LESS_EQUAL: 5,
    ConditionOperator.LIKE: 6,
    ConditionOperator.NOT_LIKE: 7,
    ConditionOperator.IN: 8,
    ConditionOperator.NOT_IN: 9,
    ConditionOperator.BETWEEN: 10,
    ConditionOperator.NULL: 12,
    ConditionOperator.NOT_NULL: 13,
    ConditionOperator.BEGINS_WITH: 54,
    ConditionOperator.ENDS_WITH: 56,
}


def encode_query(query: QueryExpression, encode: Encode) -> dict[str, Any]:
    """A QueryExpression; ``encode`` writes the values of its conditions."""
    members = {
        "ColumnSet": encode_columns(query.column_set),
        "Criteria": _filter(query.criteria, encode),
        "Distinct": False,
        "EntityName": query.entity_name,
        "LinkEntities": [],
        "Orders": [
            {
                "Alias": None,
                "AttributeName": order.attribute_name,
                "OrderType": int(order.order_type is OrderType.DESCENDING),
            }
            for order in query.orders
        ],
        "PageInfo": _paging(query.page_info),
        "NoLock": False,
        "QueryHints": "",
    }
    return members if query.top_count is None else {**members, "TopCount": query.top_count}


def encode_columns(columns: Sequence[str] | None) -> dict[str, Any]:
    """A ColumnSet; None is every column."""
    return {"AllColumns": columns is None, "AttributeExpressions": [], "Columns": list(columns or ())}


def _filter(criteria: FilterExpression, encode: Encode) -> dict[str, Any]:
    return {
        "Conditions": [_condition(condition, encode) for condition in criteria.conditions],
        "FilterOperator": int(criteria.operator is LogicalOperator.OR),
        "Filters": [_filter(inner, encode) for inner in criteria.filters],
    }


def _condition(condition: ConditionExpression, encode: Encode) -> dict[str, Any]:
    return {
        "AttributeName": condition.attribute_name,
        "CompareColumns": False,
        "Operator": _OPERATORS[condition.operator],
        "Values": [encode(value) for value in condition.values],
        "EntityName": None,
    }


def _paging(paging: PagingInfo | None) -> dict[str, Any]:
    return {
        "Count": paging.count if paging else 0,
        "PageNumber": paging.page_number if paging else 0,
        "PagingCookie": paging.paging_cookie if paging else None,
        "ReturnTotalRecordCount": paging is not None and paging.return_total_record_count,
    }
