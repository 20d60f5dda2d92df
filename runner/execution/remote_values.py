"""Converts the values of a RemoteExecutionContext between the SDK's types and the JSON of .NET's serializer.

An object of an unknown type stays a dictionary, and is written unchanged.
Source: https://learn.microsoft.com/dotnet/api/system.runtime.serialization.json.datacontractjsonserializer
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from math import isfinite
from typing import Any, TypeVar
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
    guid,
    is_guid,
)
from runner.execution.remote_errors import InvalidRemoteContextError, UnknownValueTypeError
from runner.execution.remote_queries import encode_columns, encode_query

T = TypeVar("T")

_NAMESPACE = "http://schemas.microsoft.com/xrm/2011/Contracts"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DATE = re.compile(r"/Date\((?P<milliseconds>-?\d{1,18})(?P<offset>[+-]\d{4})?\)/\Z")


# --- moments --------------------------------------------------------------------------------------------------


class WireDateTime(datetime):
    """A datetime with its original ``text``, if that holds more than the time itself."""

    text: str

    @classmethod
    def spelled(cls, text: str, moment: datetime) -> WireDateTime:
        made = cls.fromtimestamp(0, UTC) + (moment - _EPOCH)
        made.text = text
        return made


def decode_moment(text: str, *, shifted: bool = False) -> datetime | None:
    """Read ``/Date(1697526000000)/`` as aware UTC; None when ``text`` has another form.

    An offset after the milliseconds is ignored, unless the number is ``shifted`` by it: the asynchronous service of
    some servers writes OperationCreatedOn in local time, with an offset such as ``+0300``.
    """
    match = _DATE.match(text)
    if match is None:
        return None
    try:
        moment = _EPOCH + int(match["milliseconds"]) * _MILLISECOND
        offset = match["offset"]
        if offset is None:
            return moment
        return WireDateTime.spelled(text, moment + _offset(offset) if shifted else moment)
    except OverflowError:
        return None


def _offset(text: str) -> timedelta:
    size = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return -size if text[0] == "-" else size


def encode_moment(moment: datetime) -> str:
    """Write a datetime as ``/Date(...)/`` in whole milliseconds; smaller fractions are dropped."""
    if isinstance(moment, WireDateTime):
        return moment.text
    return f"/Date({(moment - _EPOCH) // _MILLISECOND})/"


# --- pairs ----------------------------------------------------------------------------------------------------


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


def encode_pairs(values: Mapping[str, Any], encode: Callable[[Any], Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": encode(value)} for key, value in values.items()]


# --- reading --------------------------------------------------------------------------------------------------


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
    f"{name}:{_NAMESPACE}": reader
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


# --- writing --------------------------------------------------------------------------------------------------


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
    return {"__type": f"{name}:{_NAMESPACE}", **members}


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
