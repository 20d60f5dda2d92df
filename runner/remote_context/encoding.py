"""Writes the values of a RemoteExecutionContext: the SDK's types -> the JSON of .NET's serializer.

A dictionary that stands for an object of an unknown type is written unchanged.
Source: https://learn.microsoft.com/dotnet/api/system.runtime.serialization.json.datacontractjsonserializer
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import singledispatch
from math import isfinite
from typing import Any
from uuid import UUID

from dataverse_client.types import (
    EMPTY_GUID,
    AliasedValue,
    Entity,
    EntityCollection,
    EntityReference,
    FetchExpression,
    Money,
    OptionSetValue,
    QueryExpression,
)
from runner.remote_context.errors import UnknownValueTypeError
from runner.remote_context.moments import encode_moment
from runner.remote_context.queries import encode_columns, encode_query
from runner.remote_context.type_names import type_name


def encode_pairs(values: Mapping[str, Any], encode: Callable[[Any], Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": encode(value)} for key, value in values.items()]


@singledispatch
def encode_value(value: Any) -> Any:
    """Convert one of the SDK's values to JSON. ``__type`` is first in an object, as .NET's reader requires.

    Raises:
      UnknownValueTypeError: Dataverse has no such type.
    """
    raise UnknownValueTypeError(f"A {type(value).__name__} has no form in a RemoteExecutionContext.")


@encode_value.register(type(None))
@encode_value.register(str)
@encode_value.register(int)
@encode_value.register(Decimal)
def _as_it_is(value: Any) -> Any:
    return value


@encode_value.register
def _(value: float) -> Decimal:
    if not isfinite(value):
        raise UnknownValueTypeError(f"{value} has no form in a RemoteExecutionContext.")
    return Decimal(repr(value))


@encode_value.register
def _(value: UUID) -> str:
    return str(value)


@encode_value.register
def _(value: dict) -> dict[str, Any]:  # type: ignore[type-arg]  # singledispatch takes no parameters
    return {name: encode_value(member) for name, member in value.items()}


@encode_value.register
def _(value: datetime) -> str:
    return encode_moment(value)


@encode_value.register
def _(value: date) -> str:
    """Write a date as midnight in UTC."""
    return encode_moment(datetime.combine(value, time(), UTC))


@encode_value.register
def _(value: bytes) -> str:
    return base64.b64encode(value).decode()


@encode_value.register(list)
@encode_value.register(tuple)
def _(values: Iterable[Any]) -> list[Any]:
    return [encode_value(value) for value in values]


@encode_value.register
def _(value: Money) -> dict[str, Any]:
    return _typed("Money", {"Value": value.value})


@encode_value.register
def _(value: OptionSetValue) -> dict[str, Any]:
    return _typed("OptionSetValue", {"Value": value.value})


@encode_value.register
def _(value: Entity) -> dict[str, Any]:
    return _typed("Entity", encode_entity(value))


@encode_value.register
def _(value: EntityReference) -> dict[str, Any]:
    return _typed("EntityReference", encode_reference(value))


@encode_value.register
def _(value: EntityCollection) -> dict[str, Any]:
    return _typed("EntityCollection", _encode_rows(value))


@encode_value.register
def _(value: AliasedValue) -> dict[str, Any]:
    members = {
        "AttributeLogicalName": value.attribute_logical_name,
        "EntityLogicalName": value.entity_logical_name,
        "Value": encode_value(value.value),
    }
    return _typed("AliasedValue", members)


@encode_value.register
def _(query: QueryExpression) -> dict[str, Any]:
    return _typed("QueryExpression", encode_query(query, encode_value))


@encode_value.register
def _(query: FetchExpression) -> dict[str, Any]:
    return _typed("FetchExpression", {"Query": query.query})


def _typed(name: str, members: dict[str, Any]) -> dict[str, Any]:
    return {"__type": type_name(name), **members}


def encode_column_set(columns: Sequence[str] | dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(columns, dict):
        return columns
    return _typed("ColumnSet", encode_columns(columns))


def encode_relationship(schema_name: str) -> dict[str, Any]:
    return _typed("Relationship", {"PrimaryEntityRole": None, "SchemaName": schema_name})


def encode_entity(row: Entity) -> dict[str, Any]:
    """Write a row without ``__type``, as in images and collections."""
    related = [
        {"key": {"PrimaryEntityRole": None, "SchemaName": name}, "value": _encode_rows(rows)}
        for name, rows in row.related_entities.items()
    ]
    return {
        "Attributes": encode_pairs(row.attributes, encode_value),
        "EntityState": None,
        "FormattedValues": encode_pairs(row.formatted_values, encode_value),
        "Id": row.id or EMPTY_GUID,
        "KeyAttributes": encode_pairs(row.key_attributes, encode_value),
        "LogicalName": row.logical_name,
        "RelatedEntities": related,
        "RowVersion": row.row_version,
    }


def encode_reference(reference: EntityReference) -> dict[str, Any]:
    """Write a reference without ``__type``."""
    return {
        "Id": reference.id,
        "KeyAttributes": encode_pairs(reference.key_attributes, encode_value),
        "LogicalName": reference.logical_name,
        "Name": reference.name,
        "RowVersion": reference.row_version,
    }


def _encode_rows(rows: EntityCollection) -> dict[str, Any]:
    return {
        "Entities": [encode_entity(row) for row in rows],
        "EntityName": rows.entity_name,
        "MinActiveRowVersion": rows.min_active_row_version,
        "MoreRecords": rows.more_records,
        "PagingCookie": rows.paging_cookie,
        "TotalRecordCount": rows.total_record_count,
        "TotalRecordCountLimitExceeded": rows.total_record_count_limit_exceeded,
    }
