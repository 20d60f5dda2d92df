"""Converts JSON values to column values, with one function per column.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-entity-web-api
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, TypeAlias

from dataverse_client.types import Money, OptionSetValue
from runner.emulator.metadata.model import AttributeType, Column, Table
from runner.emulator.query.edm import edm_type, read_day, value_reader
from runner.emulator.webapi.faults import InvalidPayload

_DATE = re.compile(r"\d{4}-\d\d-\d\d")

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
                f"Cannot convert the literal '{value}' to the expected type '{edm_type(column)}'. "
                f"The property is '{column.logical_name}'.",
            ) from None

    return convert


def _reader(column: Column) -> Converter:
    read = _day if edm_type(column) == "Edm.Date" else value_reader(column)
    if column.type is not AttributeType.MANAGED_PROPERTY:
        return read
    return lambda value: read(value["Value"] if isinstance(value, dict) and "Value" in value else value)


def _day(value: Any) -> date:
    """An Edm.Date. Unlike in a filter, a time of day makes it another type."""
    if isinstance(value, str) and not _DATE.fullmatch(value):
        raise ValueError(f"{value!r} is not a date")
    return read_day(value)


def _wrapper(column: Column) -> Converter | None:
    """The function that converts a plain value to Dataverse's type; None when they are the same."""
    if column.type is AttributeType.MONEY:
        return Money
    if column.is_choice:
        return OptionSetValue
    return _choices if column.type is AttributeType.MULTI_SELECT_PICKLIST else None


def _choices(text: str) -> tuple[OptionSetValue, ...]:
    return tuple(OptionSetValue(int(part)) for part in text.split(",") if part.strip())
