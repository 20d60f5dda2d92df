"""Converts JSON values to column values, with one function per column.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-entity-web-api
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from dataverse_client.types import Money, OptionSetValue
from runner.emulator.metadata.model import AttributeType, Column, Table
from runner.emulator.query.edm import edm_type, value_reader
from runner.emulator.webapi.faults import InvalidPayload

#: Converts JSON to the column's value. Raises InvalidPayload when it has another type.
Converter: TypeAlias = Callable[[Any], Any]


def converters(table: Table) -> Mapping[str, Converter]:
    """The converters of a table by column. Lookups have none: JSON names them by their navigation properties."""
    columns = table.columns.values()
    return {column.logical_name: _converter(table, column) for column in columns if not column.is_lookup}


def _converter(table: Table, column: Column) -> Converter:
    read, wrap = _reader(column), _wrapper(column)

    def convert(value: Any) -> Any:
        if value is None:
            return None
        try:
            plain = read(value)
            return plain if wrap is None else wrap(plain)
        except ValueError:
            raise InvalidPayload.of(
                table.entity_set_name,
                f"Cannot convert the literal '{value}' of '{column.logical_name}' to the expected type "
                f"'{edm_type(column)}'.",
            ) from None

    return convert


def _reader(column: Column) -> Converter:
    read = value_reader(column)
    if column.type is not AttributeType.MANAGED_PROPERTY:
        return read
    return lambda value: read(value["Value"] if isinstance(value, dict) and "Value" in value else value)


def _wrapper(column: Column) -> Converter | None:
    """The function that converts a plain value to Dataverse's type; None when they are the same."""
    if column.type is AttributeType.MONEY:
        return Money
    if column.is_choice:
        return OptionSetValue
    return _choices if column.type is AttributeType.MULTI_SELECT_PICKLIST else None


def _choices(text: str) -> tuple[OptionSetValue, ...]:
    return tuple(OptionSetValue(int(part)) for part in text.split(",") if part.strip())
