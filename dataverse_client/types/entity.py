"""Rows, one by one and in collections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias, overload

from dataverse_client.types.guids import EMPTY_GUID
from dataverse_client.types.values import AliasedValue, EntityReference, Money, OptionSetValue

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
