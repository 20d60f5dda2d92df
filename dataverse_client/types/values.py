"""Values of columns that Python has no type for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dataverse_client.types.guids import EMPTY_GUID


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
