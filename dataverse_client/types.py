"""Dataverse's value types, under the names its SDK gives them.

Values are immutable; only :class:`Entity` and :class:`EntityCollection` can be changed. A column value is one
of ``None``, ``str`` (text, and ids as lower-case GUIDs), ``int``, ``bool``, ``Decimal``, ``datetime`` (aware,
UTC), ``date``, :class:`Money`, :class:`OptionSetValue`, a tuple of :class:`OptionSetValue`,
:class:`EntityReference`, :class:`AliasedValue` or :class:`EntityCollection`.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, overload

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"

_GUID = re.compile(r"\{?([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})\}?\Z")


def guid(text: str) -> str:
    """``text`` as ids are written everywhere in this project: lower case, hyphens, no braces.

    Raises:
      ValueError: ``text`` is not a GUID.
    """
    match = _GUID.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a GUID such as 6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11")
    return match[1].lower()


def is_guid(text: str) -> bool:
    """Whether :func:`guid` accepts ``text``."""
    return _GUID.match(text) is not None


def new_guid() -> str:
    """A random (version 4) GUID."""
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True, slots=True, init=False)
class Money:
    """An amount in the row's currency. Scale is kept as it came: ``Money(Decimal("10.00"))``."""

    value: Decimal

    def __init__(self, value: Decimal) -> None:
        if not isinstance(value, Decimal):
            raise TypeError(f'Money holds a Decimal, not {type(value).__name__}: write Money(Decimal("10.50"))')
        _put_value(self, value)


#: Money is frozen, and there is much of it: this sets its slot.
_put_value = Money.__dict__["value"].__set__


@dataclass(frozen=True, slots=True)
class OptionSetValue:
    """The number of a choice. Its label belongs to the column's metadata."""

    value: int


@dataclass(frozen=True, slots=True)
class EntityReference:
    """Points at a row, by id or by alternate key. Two references to one row are equal whatever their names."""

    logical_name: str
    id: str = EMPTY_GUID
    name: str | None = field(default=None, compare=False)
    key_attributes: Mapping[str, Any] = field(default_factory=dict, compare=False)
    row_version: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"EntityReference({self.logical_name!r}, {self.id!r})"


@dataclass(frozen=True, slots=True)
class AliasedValue:
    """A column of a joined row or an aggregate, as a query returns it."""

    entity_logical_name: str
    attribute_logical_name: str
    value: Any


Value: TypeAlias = (
    "None | str | int | bool | Decimal | datetime | date | Money | OptionSetValue | tuple[OptionSetValue, ...]"
    " | EntityReference | AliasedValue | EntityCollection"
)


class Entity:
    """A row, or the part of one that a request carries.

    Reads like a mapping of logical column names: ``entity["new_amount"]``, ``entity.get("new_name")``,
    ``"new_name" in entity``. A column that is present with the value ``None`` is to be cleared; a column that is
    absent stays as it is.
    """

    __slots__ = (
        "attributes",
        "formatted_values",
        "id",
        "key_attributes",
        "logical_name",
        "related_entities",
        "row_version",
    )

    def __init__(
        self,
        logical_name: str,
        id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        *,
        key_attributes: Mapping[str, Any] | None = None,
        row_version: str | None = None,
    ) -> None:
        self.logical_name = logical_name
        self.id = id
        self.attributes: dict[str, Any] = {**attributes} if attributes else {}
        self.key_attributes: dict[str, Any] = {**key_attributes} if key_attributes else {}
        self.formatted_values: dict[str, str] = {}
        self.related_entities: dict[str, EntityCollection] = {}
        self.row_version = row_version

    def __getitem__(self, column: str) -> Any:
        try:
            return self.attributes[column]
        except KeyError:
            held = ", ".join(self.attributes) or "none"
            raise KeyError(f"No {column!r} in this {self.logical_name}, which holds {held}: use get()") from None

    def __setitem__(self, column: str, value: Any) -> None:
        self.attributes[column] = value

    def __delitem__(self, column: str) -> None:
        del self.attributes[column]

    def __contains__(self, column: object) -> bool:
        return column in self.attributes

    def __iter__(self) -> Iterator[str]:
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entity):
            return NotImplemented
        return (self.logical_name, self.id, self.attributes, self.key_attributes) == (
            other.logical_name,
            other.id,
            other.attributes,
            other.key_attributes,
        )

    __hash__ = None  # type: ignore[assignment]  # mutable, like a dict

    def __repr__(self) -> str:
        return f"Entity({self.logical_name!r}, {self.id!r}, {self.attributes!r})"

    @overload
    def get(self, column: str) -> Any: ...
    @overload
    def get(self, column: str, default: Any) -> Any: ...
    def get(self, column: str, default: Any = None) -> Any:
        return self.attributes.get(column, default)

    def keys(self) -> Iterable[str]:
        return self.attributes.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        return self.attributes.items()

    def update(self, columns: Mapping[str, Any]) -> None:
        self.attributes.update(columns)

    def copy(self) -> Entity:
        """An independent copy, its related rows included; the values themselves are shared, being immutable."""
        twin = Entity.__new__(Entity)
        twin.logical_name = self.logical_name
        twin.id = self.id
        twin.row_version = self.row_version
        twin.attributes = self.attributes.copy()
        twin.key_attributes = self.key_attributes.copy()
        twin.formatted_values = self.formatted_values.copy()
        related = self.related_entities
        twin.related_entities = {name: rows.copy() for name, rows in related.items()} if related else {}
        return twin

    def to_entity_reference(self) -> EntityReference:
        """A reference to this row. Raises ValueError when the row has neither an id nor key attributes."""
        if self.id is None and not self.key_attributes:
            raise ValueError(f"This {self.logical_name} has no id yet, so nothing can refer to it")
        return EntityReference(
            self.logical_name,
            self.id or EMPTY_GUID,
            key_attributes=self.key_attributes,
            row_version=self.row_version,
        )


@dataclass(slots=True)
class EntityCollection:
    """The rows of a query's page or of a request, with what is needed to ask for the next page."""

    entities: list[Entity] = field(default_factory=list)
    entity_name: str | None = None
    more_records: bool = False
    paging_cookie: str | None = None
    total_record_count: int = -1
    min_active_row_version: str | None = None
    total_record_count_limit_exceeded: bool = False

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.entities)

    def __len__(self) -> int:
        return len(self.entities)

    def __getitem__(self, index: int) -> Entity:
        return self.entities[index]

    def copy(self) -> EntityCollection:
        """The same with copies of its rows."""
        return replace(self, entities=[row.copy() for row in self.entities])


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


@dataclass(frozen=True, slots=True)
class OrganizationRequest:
    """A message and its parameters: ``OrganizationRequest("Create", {"Target": entity})``."""

    message_name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrganizationResponse:
    """The results of a message, by name."""

    message_name: str
    results: Mapping[str, Any] = field(default_factory=dict)


class OrganizationService(Protocol):
    """``IOrganizationService``: what ``context.organization`` offers a plug-in, and ``DataverseClient`` any program.

    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iorganizationservice
    """

    def create(self, entity: Entity) -> str: ...
    def retrieve(self, logical_name: str, id: str, columns: Sequence[str] | None = None) -> Entity: ...
    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection: ...
    def update(self, entity: Entity) -> None: ...
    def delete(self, logical_name: str, id: str) -> None: ...
    def associate(self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]) -> None: ...
    def disassociate(
        self, logical_name: str, id: str, relationship: str, related: Sequence[EntityReference]
    ) -> None: ...
    def execute(self, request: OrganizationRequest) -> OrganizationResponse: ...
