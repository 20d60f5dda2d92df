"""A definition as the metadata API shows it: property values, and links to other definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Document:
    """One definition. ``values`` begin with ``@odata.type`` if its type is derived; ``key_names`` are its keys."""

    values: Mapping[str, Any]
    navigation: Mapping[str, Callable[[], Found]] = field(default_factory=dict)
    bases: tuple[str, ...] = ()
    key_names: tuple[str, ...] = ("MetadataId", "LogicalName", "SchemaName", "Name")

    def is_kind(self, type_name: str) -> bool:
        return self.values.get("@odata.type") == f"#{type_name}" or type_name in self.bases


Found: TypeAlias = "Document | Sequence[Document] | None"


def managed_property(value: Any, name: str) -> dict[str, Any]:
    """A value such as ``BooleanManagedProperty``, with CanBeChanged true as no solution here locks anything.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/booleanmanagedproperty
    """
    return {"Value": value, "CanBeChanged": True, "ManagedPropertyLogicalName": name}
