"""Queries for rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ConditionOperator(StrEnum):
    """How a condition compares. The values are FetchXML's operator names, in the order of .NET's numbers.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/operators
    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.conditionoperator
    """

    EQUAL = "eq"
    NOT_EQUAL = "ne"
    GREATER_THAN = "gt"
    LESS_THAN = "lt"
    GREATER_EQUAL = "ge"
    LESS_EQUAL = "le"
    LIKE = "like"
    NOT_LIKE = "not-like"
    IN = "in"
    NOT_IN = "not-in"
    BETWEEN = "between"
    NOT_BETWEEN = "not-between"
    NULL = "null"
    NOT_NULL = "not-null"
    YESTERDAY = "yesterday"
    TODAY = "today"
    TOMORROW = "tomorrow"
    LAST_7_DAYS = "last-seven-days"
    NEXT_7_DAYS = "next-seven-days"
    LAST_WEEK = "last-week"
    THIS_WEEK = "this-week"
    NEXT_WEEK = "next-week"
    LAST_MONTH = "last-month"
    THIS_MONTH = "this-month"
    NEXT_MONTH = "next-month"
    ON = "on"
    ON_OR_BEFORE = "on-or-before"
    ON_OR_AFTER = "on-or-after"
    LAST_YEAR = "last-year"
    THIS_YEAR = "this-year"
    NEXT_YEAR = "next-year"
    LAST_X_HOURS = "last-x-hours"
    NEXT_X_HOURS = "next-x-hours"
    LAST_X_DAYS = "last-x-days"
    NEXT_X_DAYS = "next-x-days"
    LAST_X_WEEKS = "last-x-weeks"
    NEXT_X_WEEKS = "next-x-weeks"
    LAST_X_MONTHS = "last-x-months"
    NEXT_X_MONTHS = "next-x-months"
    LAST_X_YEARS = "last-x-years"
    NEXT_X_YEARS = "next-x-years"
    EQUAL_USER_ID = "eq-userid"
    NOT_EQUAL_USER_ID = "ne-userid"
    EQUAL_BUSINESS_ID = "eq-businessid"
    NOT_EQUAL_BUSINESS_ID = "ne-businessid"
    EQUAL_USER_LANGUAGE = "eq-userlanguage"
    OLDER_THAN_X_MONTHS = "olderthan-x-months"
    BEGINS_WITH = "begins-with"
    DOES_NOT_BEGIN_WITH = "not-begin-with"
    ENDS_WITH = "ends-with"
    DOES_NOT_END_WITH = "not-end-with"
    THIS_FISCAL_YEAR = "this-fiscal-year"
    THIS_FISCAL_PERIOD = "this-fiscal-period"
    NEXT_FISCAL_YEAR = "next-fiscal-year"
    NEXT_FISCAL_PERIOD = "next-fiscal-period"
    LAST_FISCAL_YEAR = "last-fiscal-year"
    LAST_FISCAL_PERIOD = "last-fiscal-period"
    LAST_X_FISCAL_YEARS = "last-x-fiscal-years"
    LAST_X_FISCAL_PERIODS = "last-x-fiscal-periods"
    NEXT_X_FISCAL_YEARS = "next-x-fiscal-years"
    NEXT_X_FISCAL_PERIODS = "next-x-fiscal-periods"
    IN_FISCAL_YEAR = "in-fiscal-year"
    IN_FISCAL_PERIOD = "in-fiscal-period"
    IN_FISCAL_PERIOD_AND_YEAR = "in-fiscal-period-and-year"
    IN_OR_BEFORE_FISCAL_PERIOD_AND_YEAR = "in-or-before-fiscal-period-and-year"
    IN_OR_AFTER_FISCAL_PERIOD_AND_YEAR = "in-or-after-fiscal-period-and-year"
    EQUAL_USER_TEAMS = "eq-userteams"
    EQUAL_USER_OR_USER_TEAMS = "eq-useroruserteams"
    ABOVE = "above"
    UNDER = "under"
    NOT_UNDER = "not-under"
    ABOVE_OR_EQUAL = "eq-or-above"
    UNDER_OR_EQUAL = "eq-or-under"
    EQUAL_USER_OR_USER_HIERARCHY = "eq-useroruserhierarchy"
    EQUAL_USER_OR_USER_HIERARCHY_AND_TEAMS = "eq-useroruserhierarchyandteams"
    OLDER_THAN_X_YEARS = "olderthan-x-years"
    OLDER_THAN_X_WEEKS = "olderthan-x-weeks"
    OLDER_THAN_X_DAYS = "olderthan-x-days"
    OLDER_THAN_X_HOURS = "olderthan-x-hours"
    OLDER_THAN_X_MINUTES = "olderthan-x-minutes"
    CONTAIN_VALUES = "contain-values"
    DOES_NOT_CONTAIN_VALUES = "not-contain-values"


class LogicalOperator(StrEnum):
    """How the parts of a filter are combined."""

    AND = "and"
    OR = "or"


class OrderType(StrEnum):
    """The direction rows are sorted in."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class JoinOperator(StrEnum):
    """How a linked table takes part in a query. The values are FetchXML's link types.

    ``ANY``, ``NOT_ANY``, ``ALL`` and ``NOT_ALL`` are conditions in a filter, and the others join a query or a link.
    ``ALL`` finds the rows that have related rows, none of which matches.

    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.joinoperator
    """

    INNER = "inner"
    LEFT_OUTER = "outer"
    EXISTS = "exists"
    IN = "in"
    MATCH_FIRST_ROW_USING_CROSS_APPLY = "matchfirstrowusingcrossapply"
    ANY = "any"
    NOT_ANY = "not any"
    ALL = "all"
    NOT_ALL = "not all"


@dataclass(frozen=True, slots=True)
class ConditionExpression:
    """A comparison of one column with ``values``: as many as the operator takes.

    ``entity_name`` is the alias of the link that has the column, or its table's name; None is where the filter stands.
    With ``compare_columns`` the value is the name of another column of the same row.

    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.conditionexpression
    """

    attribute_name: str
    operator: ConditionOperator
    values: tuple[Any, ...] = ()
    entity_name: str | None = None
    compare_columns: bool = False


@dataclass(frozen=True, slots=True)
class FilterExpression:
    """Conditions and nested filters combined by one logical operator. An empty filter matches every row.

    ``any_all_filter_link_entity`` is one more condition: on the rows of a related table, none of whose columns return.
    """

    operator: LogicalOperator = LogicalOperator.AND
    conditions: tuple[ConditionExpression, ...] = ()
    filters: tuple[FilterExpression, ...] = ()
    any_all_filter_link_entity: LinkEntity | None = None


@dataclass(frozen=True, slots=True)
class OrderExpression:
    """A column to sort by, of the link with the alias or table ``entity_name``, if given."""

    attribute_name: str
    order_type: OrderType = OrderType.ASCENDING
    entity_name: str | None = None


@dataclass(frozen=True, slots=True)
class LinkEntity:
    """A linked table, and the two columns that are equal: ``link_from_attribute_name`` is the one of the query's table.

    Its ``columns`` (None: all) come as :class:`AliasedValue` under ``alias.column``. Without ``entity_alias`` the alias
    is the table's name and the link's place in the query: ``contact1``.

    >>> LinkEntity("contact", "primarycontactid", "contactid", JoinOperator.LEFT_OUTER, ("lastname",), "primary")
    ... # doctest: +ELLIPSIS
    LinkEntity(link_to_entity_name='contact', ...)

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/queryexpression/join-tables
    """

    link_to_entity_name: str
    link_from_attribute_name: str
    link_to_attribute_name: str
    join_operator: JoinOperator = JoinOperator.INNER
    columns: tuple[str, ...] | None = ()
    entity_alias: str | None = None
    link_criteria: FilterExpression = FilterExpression()
    link_entities: tuple[LinkEntity, ...] = ()
    orders: tuple[OrderExpression, ...] = ()


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
    """A query on one table and those linked to it. ``column_set`` None means every column.

    With ``distinct`` equal rows are one, and have no id unless it is among the columns.

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
    link_entities: tuple[LinkEntity, ...] = ()
    distinct: bool = False

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

    def named_links(self) -> Iterator[tuple[str, LinkEntity]]:
        """Every link of the query, those in filters too, with its alias: each before the links nested in it."""
        for place, link in enumerate(_links(self.link_entities, self.criteria), 1):
            yield link.entity_alias or f"{link.link_to_entity_name}{place}", link


def _links(links: tuple[LinkEntity, ...], criteria: FilterExpression) -> Iterator[LinkEntity]:
    related = criteria.any_all_filter_link_entity
    for link in links if related is None else (*links, related):
        yield link
        yield from _links(link.link_entities, link.link_criteria)
    for inner in criteria.filters:
        yield from _links((), inner)


@dataclass(frozen=True, slots=True)
class FetchExpression:
    """A query in FetchXML, for the ``Query`` parameter of RetrieveMultiple.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/overview
    """

    query: str
