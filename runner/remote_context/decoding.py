"""Reads the values of a RemoteExecutionContext: the JSON of .NET's serializer -> the SDK's types.

An object of an unknown type stays a dictionary.
Source: https://learn.microsoft.com/dotnet/api/system.runtime.serialization.json.datacontractjsonserializer
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from dataverse_client.types import (
    EMPTY_GUID,
    AliasedValue,
    Entity,
    EntityCollection,
    EntityReference,
    Money,
    OptionSetValue,
    guid,
    is_guid,
)
from runner.remote_context.errors import InvalidRemoteContextError
from runner.remote_context.moments import decode_moment
from runner.remote_context.type_names import type_name

T = TypeVar("T")


def decode_pairs(pairs: Any, where: str, decode: Callable[[Any, str], T]) -> dict[str, T]:
    """Read .NET's form of a dictionary: a list of ``{"key": ..., "value": ...}``. None is an empty one."""
    if pairs is None:
        return {}
    if not isinstance(pairs, list):
        raise InvalidRemoteContextError(f"{where} is not a list of keys and values.")
    return dict(_decode_pair(pair, f"{where}[{index}]", decode) for index, pair in enumerate(pairs))


def _decode_pair(pair: Any, where: str, decode: Callable[[Any, str], T]) -> tuple[str, T]:
    if not isinstance(pair, dict) or "key" not in pair or "value" not in pair:
        raise InvalidRemoteContextError(f"{where} is not a key with a value.")
    key = pair["key"]
    if isinstance(key, dict):  # a Relationship, the key of RelatedEntities
        key = key.get("SchemaName")
    if not isinstance(key, str):
        raise InvalidRemoteContextError(f"{where} has no text for its key.")
    return key, decode(pair["value"], f"{where}.{key}")


def decode_value(value: Any, where: str = "value") -> Any:
    """Convert a JSON value (fractions as Decimal) to the SDK's. Ids stay text, as JSON does not mark them.

    Raises:
      InvalidRemoteContextError: an object does not fit its ``__type``. The message names ``where``.
    """
    if isinstance(value, str):
        moment = decode_moment(value) if value.startswith("/Date(") else None
        return value if moment is None else moment
    if isinstance(value, list):
        return _decode_list(value, where)
    if isinstance(value, dict):
        return _decode_object(value, where)
    return value


def _decode_object(value: dict[str, Any], where: str) -> Any:
    if "__type" not in value:
        return {name: decode_value(member, f"{where}.{name}") for name, member in value.items()}
    reader = _READERS.get(str(value["__type"]))
    return value if reader is None else reader(value, where)


def _decode_list(values: list[Any], where: str) -> Any:
    """Read a list: an OptionSetValueCollection or any other array, which have the same form."""
    items = [decode_value(value, f"{where}[{index}]") for index, value in enumerate(values)]
    return tuple(items) if items and all(isinstance(item, OptionSetValue) for item in items) else items


def decode_entity(value: Any, where: str) -> Entity:
    row = _object(value, where)
    entity = Entity(
        _text(row, "LogicalName", where),
        decode_guid(row.get("Id"), f"{where}.Id"),
        decode_pairs(row.get("Attributes"), f"{where}.Attributes", decode_value),
        key_attributes=decode_pairs(row.get("KeyAttributes"), f"{where}.KeyAttributes", decode_value),
        row_version=row.get("RowVersion"),
    )
    entity.formatted_values = decode_pairs(row.get("FormattedValues"), f"{where}.FormattedValues", _plain_text)
    entity.related_entities = decode_pairs(row.get("RelatedEntities"), f"{where}.RelatedEntities", _decode_rows)
    return entity


def decode_reference(value: Any, where: str) -> EntityReference:
    row = _object(value, where)
    return EntityReference(
        _text(row, "LogicalName", where),
        decode_guid(row.get("Id"), f"{where}.Id"),
        _text_or_none(row, "Name", where),
        decode_pairs(row.get("KeyAttributes"), f"{where}.KeyAttributes", decode_value),
        _text_or_none(row, "RowVersion", where),
    )


def decode_guid(value: Any, where: str) -> str:
    """Read an id, in lower case; None is the empty id."""
    if value is None:
        return EMPTY_GUID
    if not isinstance(value, str) or not is_guid(value):
        raise InvalidRemoteContextError(f"{where} is not a GUID.")
    return guid(value)


def _decode_rows(value: Any, where: str) -> EntityCollection:
    rows = _object(value, where)
    entities = rows.get("Entities") or []
    if not isinstance(entities, list):
        raise InvalidRemoteContextError(f"{where}.Entities is not a list.")
    return EntityCollection(
        [decode_entity(row, f"{where}.Entities[{index}]") for index, row in enumerate(entities)],
        rows.get("EntityName"),
        bool(rows.get("MoreRecords")),
        rows.get("PagingCookie"),
        _integer(rows.get("TotalRecordCount", -1), f"{where}.TotalRecordCount"),
        rows.get("MinActiveRowVersion"),
        bool(rows.get("TotalRecordCountLimitExceeded")),
    )


def _decode_money(value: dict[str, Any], where: str) -> Money:
    amount = value.get("Value")
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise InvalidRemoteContextError(f"{where}.Value is not an amount.")
    return Money(Decimal(amount))


def _decode_aliased(value: dict[str, Any], where: str) -> AliasedValue:
    return AliasedValue(
        _text(value, "EntityLogicalName", where),
        _text(value, "AttributeLogicalName", where),
        decode_value(value.get("Value"), f"{where}.Value"),
    )


def _decode_columns(value: dict[str, Any], where: str) -> Any:
    """Read a ColumnSet: column names, or None for all. One with computed columns stays a dictionary."""
    columns = value.get("Columns") or []
    if value.get("AttributeExpressions"):
        return value
    if not isinstance(columns, list):
        raise InvalidRemoteContextError(f"{where}.Columns is not a list.")
    if value.get("AllColumns"):
        return None
    return tuple(_plain_text(column, f"{where}.Columns[{index}]") for index, column in enumerate(columns))


_READERS: Mapping[str, Callable[[dict[str, Any], str], Any]] = {
    type_name(name): reader
    for name, reader in (
        ("Entity", decode_entity),
        ("EntityReference", decode_reference),
        ("EntityCollection", _decode_rows),
        ("Money", _decode_money),
        ("OptionSetValue", lambda value, where: OptionSetValue(_integer(value.get("Value"), f"{where}.Value"))),
        ("AliasedValue", _decode_aliased),
        ("ColumnSet", _decode_columns),
        ("Relationship", lambda value, where: _text(value, "SchemaName", where)),
    )
}


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRemoteContextError(f"{where} is not an object.")
    return value


def _text(value: Mapping[str, Any], key: str, where: str) -> str:
    return _plain_text(value.get(key), f"{where}.{key}")


def _text_or_none(value: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if value.get(key) is None else _text(value, key, where)


def _plain_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidRemoteContextError(f"{where} is not text.")
    return value


def _integer(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRemoteContextError(f"{where} is not a whole number.")
    return value
