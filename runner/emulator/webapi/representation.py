"""Converts a row to JSON: properties under their OData names, with the annotations the client asked for.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/select-columns
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from dataverse_client.types import AliasedValue, Entity, EntityReference, Money, OptionSetValue
from runner.emulator.metadata.document import managed_property
from runner.emulator.metadata.model import AttributeType, Column, Table
from runner.emulator.query.edm import property_name
from runner.emulator.webapi.http import Preferences
from runner.emulator.webapi.schema import PRINCIPALS, Navigation, Schema

FORMATTED_VALUE = "OData.Community.Display.V1.FormattedValue"
LOOKUP_LOGICAL_NAME = "Microsoft.Dynamics.CRM.lookuplogicalname"
ASSOCIATED_NAVIGATION_PROPERTY = "Microsoft.Dynamics.CRM.associatednavigationproperty"

#: The size of a cache whose keys depend on what clients select.
MAX_WRITERS_KEPT = 500

_PLAIN: Mapping[type, Callable[[Any], Any]] = {
    Money: lambda money: money.value,
    OptionSetValue: lambda option: option.value,
    EntityReference: lambda reference: reference.id,
    AliasedValue: lambda aliased: plain(aliased.value),
    tuple: lambda options: ",".join(str(option.value) for option in options),
    datetime: lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    date: date.isoformat,
}


def plain(value: Any) -> Any:
    """A column's value as JSON: an amount as a number, a lookup as an id, a time in ISO 8601 and UTC."""
    convert = _PLAIN.get(type(value))
    return value if convert is None else convert(value)


def etag(entity: Entity) -> str | None:
    """``W/"<row version>"``, or None when the row has no version."""
    return None if entity.row_version is None else f'W/"{entity.row_version}"'


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes rows of one table with a fixed set of columns and annotations."""

    columns: tuple[tuple[str, str], ...]
    navigation: Navigation
    formatted: bool
    logical_names: bool
    associated: bool
    #: Managed properties among the columns: logical name -> the name of the managed property.
    managed: Mapping[str, str]
    #: The logical names of the columns it writes, which rows must be read with.
    column_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "column_names", tuple(dict.fromkeys(name for name, _ in self.columns)))

    @classmethod
    def of(cls, columns: Collection[Column], navigation: Navigation, preferences: Preferences) -> RowWriter:
        return cls(
            tuple((column.logical_name, property_name(column)) for column in columns),
            navigation,
            preferences.wants(FORMATTED_VALUE),
            preferences.wants(LOOKUP_LOGICAL_NAME),
            preferences.wants(ASSOCIATED_NAVIGATION_PROPERTY),
            {
                column.logical_name: column.managed_property
                for column in columns
                if column.type is AttributeType.MANAGED_PROPERTY
            },
        )

    def write(self, entity: Entity) -> dict[str, Any]:
        """The row as a JSON object. A column without a value is ``null``."""
        row: dict[str, Any] = {}
        if entity.row_version is not None:
            row["@odata.etag"] = etag(entity)
        values = entity.attributes
        annotated = self.formatted or self.logical_names or self.associated
        for logical_name, name in self.columns:
            value = values.get(logical_name)
            if annotated and value is not None:
                self._annotate(row, name, logical_name, value, entity.formatted_values)
            convert = _PLAIN.get(type(value))
            row[name] = value if convert is None else convert(value)
        for name in self.managed:
            row[name] = managed_property(bool(row[name]), self.managed[name])
        return row

    def _annotate(
        self, row: dict[str, Any], name: str, logical_name: str, value: Any, formatted: Mapping[str, str]
    ) -> None:
        text = formatted.get(logical_name)
        if isinstance(value, EntityReference):
            text = text or value.name
            navigation_property = self.navigation.names.get((logical_name, value.logical_name))
            if self.associated and navigation_property:
                row[f"{name}@{ASSOCIATED_NAVIGATION_PROPERTY}"] = navigation_property
            if self.logical_names:
                row[f"{name}@{LOOKUP_LOGICAL_NAME}"] = value.logical_name
        if self.formatted and text is not None:
            row[f"{name}@{FORMATTED_VALUE}"] = text


def row_writer(schema: Schema, table: Table, select: tuple[str, ...] | None, preferences: Preferences) -> RowWriter:
    """The writer for the columns of a ``$select``, cached. Raises ODataError."""
    key = (table.logical_name, select, preferences.include_annotations)
    writer: RowWriter | None = schema.row_writers.get(key)
    if writer is None:
        if len(schema.row_writers) >= MAX_WRITERS_KEPT:
            schema.row_writers.clear()
        writer = RowWriter.of(schema.selected(table, select), schema.navigation(table), preferences)
        if table.logical_name in PRINCIPALS:
            writer = replace(writer, columns=(*writer.columns, (table.primary_id_attribute, "ownerid")))
        schema.row_writers[key] = writer
    return writer


def aliased_row(entity: Entity, *, formatted: bool) -> dict[str, Any]:
    """The JSON of an aggregate's row: the values by alias."""
    row: dict[str, Any] = {}
    for alias, value in entity.items():
        if formatted and alias in entity.formatted_values:
            row[f"{alias}@{FORMATTED_VALUE}"] = entity.formatted_values[alias]
        row[alias] = plain(value)
    return row


def entity_url(root: str, table: Table, id: str) -> str:
    """The row's URL. It ends in ``(<guid>)``, from which clients read the id."""
    return f"{root}/{table.entity_set_name}({id})"
