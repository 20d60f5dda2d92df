"""Queries for rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ConditionOperator(StrEnum):
    """How a condition compares. The values are FetchXML's operator names.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/operators
    """

    EQUAL = "eq"
    NOT_EQUAL = "ne"
    GREATER_THAN = "gt"
    GREATER_EQUAL = "ge"
    LESS_THAN = "lt"
    LESS_EQUAL = "le"
    LIKE = "like"
    NOT_LIKE = "not-like"
    IN = "in"
    NOT_IN = "not-in"
    NULL = "null"
    NOT_NULL = "not-null"
    BEGINS_WITH = "begins-with"
    ENDS_WITH = "ends-with"
    BETWEEN = "between"


class LogicalOperator(StrEnum):
    """How the parts of a filter are combined."""

    AND = "and"
    OR = "or"


class OrderType(StrEnum):
    """The direction rows are sorted in."""

    ASCENDING = "asc"
    DESCENDING = "desc"


@dataclass(frozen=True, slots=True)
class ConditionExpression:
    """A comparison of one column with ``values``: as many as the operator takes."""

    attribute_name: str
    operator: ConditionOperator
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterExpression:
    """Conditions and nested filters combined by one logical operator. An empty filter matches every row."""

    operator: LogicalOperator = LogicalOperator.AND
    conditions: tuple[ConditionExpression, ...] = ()
    filters: tuple[FilterExpression, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderExpression:
    """A column to sort by."""

    attribute_name: str
    order_type: OrderType = OrderType.ASCENDING


@dataclass(frozen=True, slots=True)
class PagingInfo:
    """Which page to return, and how many rows on it. ``paging_cookie`` is that of the previous page's collection.

    With ``return_total_record_count`` the collection gives the number of rows on all pages, up to 5,000.
    """

    count: int = 5000
    page_number: int = 1
    paging_cookie: str | None = None
    return_total_record_count: bool = False


@dataclass(frozen=True, slots=True)
class QueryExpression:
    """A query on one table. ``column_set`` None means every column.

    >>> QueryExpression.of("new_payment", "new_amount", where={"new_name": "Invoice 7"})
    ... # doctest: +ELLIPSIS
    QueryExpression(entity_name='new_payment', column_set=('new_amount',), ...)
    """

    entity_name: str
    column_set: tuple[str, ...] | None = None
    criteria: FilterExpression = FilterExpression()
    orders: tuple[OrderExpression, ...] = ()
    top_count: int | None = None
    page_info: PagingInfo | None = None

    @classmethod
    def of(cls, entity_name: str, *columns: str, where: Mapping[str, Any] | None = None) -> QueryExpression:
        """A query for these columns of the rows that match ``where``: column by column, a value, or None for empty."""
        conditions = tuple(
            ConditionExpression(column, ConditionOperator.NULL)
            if value is None
            else ConditionExpression(column, ConditionOperator.EQUAL, (value,))
            for column, value in (where or {}).items()
        )
        return cls(entity_name, columns or None, FilterExpression(conditions=conditions))


@dataclass(frozen=True, slots=True)
class FetchExpression:
    """A query in FetchXML, for the ``Query`` parameter of RetrieveMultiple.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/overview
    """

    query: str
