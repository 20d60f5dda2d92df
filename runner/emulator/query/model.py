"""The query model: OData, FetchXML, SQL and ``QueryExpression`` are parsed into it, and :mod:`plan` runs it.

Values are those of :mod:`dataverse_client.types`, or plain ``int``, ``str`` and ``Decimal`` where a choice, a lookup
or an amount is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/fetch
MAX_TOP = 5000
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/aggregate-data#limitations
MAX_AGGREGATED = 50_000


class Operator(StrEnum):
    """How a condition compares. The values are FetchXML's operator names where FetchXML has one.

    The values of text operators may hold wildcards: ``%``, ``_``, ``[...]`` and ``[^...]``.
    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/operators
    Source: https://learn.microsoft.com/power-apps/developer/data-platform/wildcard-characters
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
    BETWEEN = "between"
    NOT_BETWEEN = "not-between"
    CONTAINS = "contains"
    NOT_CONTAINS = "not-contains"
    BEGINS_WITH = "begins-with"
    NOT_BEGINS_WITH = "not-begin-with"
    ENDS_WITH = "ends-with"
    NOT_ENDS_WITH = "not-end-with"
    #: A multi-select choice contains any of the values, or none of them.
    CONTAIN_VALUES = "contain-values"
    NOT_CONTAIN_VALUES = "not-contain-values"


#: The operators that can compare two columns.
COMPARING_COLUMNS = frozenset(
    {
        Operator.EQUAL,
        Operator.NOT_EQUAL,
        Operator.GREATER_THAN,
        Operator.GREATER_EQUAL,
        Operator.LESS_THAN,
        Operator.LESS_EQUAL,
    }
)


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column of the query's own table, or of the link with that alias."""

    name: str
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a column with values, or with another column of the row: a :class:`ColumnRef`."""

    column: ColumnRef
    operator: Operator
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class And:
    """True when all parts are true. Without parts it is true for every row."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """True when any part is true. Without parts it is true for every row, as an empty filter is."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


@dataclass(frozen=True, slots=True)
class Link:
    """A joined table: ``from_column`` is its own column, ``to_column`` the parent's, as in FetchXML.

    Of the ``first`` kind, only the first row that matches is joined to each parent. ``columns`` None means all of them.
    """

    entity_name: str
    from_column: str
    to_column: str
    alias: str
    kind: Literal["inner", "outer", "first"] = "inner"
    columns: tuple[str, ...] | None = ()
    where: Filter | None = None
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Exists:
    """True when some row of the linked table matches."""

    link: Link


@dataclass(frozen=True, slots=True)
class Lineage:
    """True when the row in an id or lookup column is below the row ``id`` in its hierarchy, or ``above`` it."""

    column: ColumnRef
    id: str
    above: bool = False
    or_equal: bool = False


@dataclass(frozen=True, slots=True)
class TeamOwned:
    """True when the owner is a team of the user or, ``with_reports``, of anybody who reports to the user."""

    column: ColumnRef
    user_id: str
    with_reports: bool = False


@dataclass(frozen=True, slots=True)
class InFiscalPeriod:
    """True when the date lies in that period (a quarter) of any fiscal year."""

    column: ColumnRef
    period: int


Filter: TypeAlias = "And | Or | Not | Condition | Exists | Lineage | TeamOwned | InFiscalPeriod"


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by. ``by_label`` sorts a choice by its label, a lookup by the name of the row it refers to."""

    column: ColumnRef
    descending: bool = False
    by_label: bool = False


@dataclass(frozen=True, slots=True)
class AliasedColumn:
    """A column, or the number of a row's children, returned with each row as the aliased value ``alias``."""

    column: ColumnRef
    alias: str
    counts_children: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function over the rows of a group. ``count`` counts all rows, and its ``column`` may be None."""

    function: Literal["count", "countcolumn", "sum", "avg", "min", "max"]
    column: ColumnRef | None
    alias: str
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class GroupBy:
    column: ColumnRef
    alias: str
    date_grouping: Literal["year", "quarter", "month", "week", "day", "fiscal-year", "fiscal-period"] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Which page to return. With the ``cookie`` of the page before, any page costs the same."""

    size: int
    number: int = 1
    cookie: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A query of one table and those linked to it. ``columns`` None means every column.

    ``offset`` rows are skipped before the first page. An aggregate of more than ``aggregate_limit`` rows is refused.
    """

    entity_name: str
    columns: tuple[str, ...] | None = None
    where: Filter | None = None
    orders: tuple[Order, ...] = ()
    links: tuple[Link, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    group_by: tuple[GroupBy, ...] = ()
    distinct: bool = False
    top: int | None = None
    page: Page | None = None
    count: bool = False
    aliased: tuple[AliasedColumn, ...] = ()
    offset: int = 0
    aggregate_limit: int = MAX_AGGREGATED
