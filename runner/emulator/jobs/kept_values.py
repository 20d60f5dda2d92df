"""Serializes the context of a system job to text, so that every value is read back with its type.

The supported types are those with a counterpart in Dataverse: text, numbers, dates, ids, bytes, the SDK's types, and
lists and dictionaries of them. A subclass, such as a member of an enumeration, is read back as its base type.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/asynchronous-service
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

from dataverse_client.types import (
    AliasedValue,
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityCollection,
    EntityReference,
    FetchExpression,
    FilterExpression,
    JoinOperator,
    LinkEntity,
    LogicalOperator,
    Money,
    OptionSetValue,
    OrderExpression,
    OrderType,
    PagingInfo,
    QueryExpression,
)
from runner.plugin import Caller, MessageOperation, Organization, PluginContext
from runner.remote_context.errors import UnknownValueTypeError

_Write: TypeAlias = "Callable[[Any], Any]"
_Read: TypeAlias = "Callable[[Any], Any]"


def written(value: Any) -> str:
    """Serialize a value.

    Raises:
      UnknownValueTypeError: it has a type that Dataverse does not have, or contains itself.
    """
    try:
        return json.dumps(_written(value), separators=(",", ":"))
    except RecursionError:
        raise UnknownValueTypeError("A value that contains itself cannot be stored.") from None


def read(text: str) -> Any:
    """Read a serialized value. Raises ValueError when :func:`written` did not make the text."""
    try:
        return _read(json.loads(text))
    except (AttributeError, LookupError, TypeError, ArithmeticError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _written(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in _AS_THEY_ARE:
        return value
    if kind is list:
        return [_written(each) for each in value]
    form = _FORMS.get(kind)
    if form is not None:
        return {kind.__name__: form[0](value)}
    return _written_of_subclass(value)


def _written_of_subclass(value: Any) -> Any:
    for kind in type(value).__mro__:
        if kind in _AS_THEY_ARE:
            return kind(value)
        if kind in _FORMS:
            return {kind.__name__: _FORMS[kind][0](value)}
    raise UnknownValueTypeError(f"Dataverse has no type for a {type(value).__name__}.")


def _read(document: Any) -> Any:
    if isinstance(document, list):
        return [_read(each) for each in document]
    if isinstance(document, dict):
        ((name, content),) = document.items()
        return _READERS[name](content)
    return document


# --- values that hold others ------------------------------------------------------------------------------------


def _write_mapping(values: Mapping[Any, Any]) -> dict[str, Any]:
    for key in values:
        if not isinstance(key, str):
            raise UnknownValueTypeError(f"A dictionary can be stored if its keys are text; this one has {key!r}.")
    return {key: _written(value) for key, value in values.items()}


def _read_mapping(content: dict[str, Any]) -> dict[str, Any]:
    return {key: _read(value) for key, value in content.items()}


def _write_tuple(values: Iterable[Any]) -> list[Any]:
    return [_written(each) for each in values]


def _read_tuple(content: list[Any]) -> tuple[Any, ...]:
    return tuple(_read(each) for each in content)


# By name, so that a later version of the type takes no member for another, and has those it added at their defaults.


def _write_members(names: tuple[str, ...], value: Any) -> dict[str, Any]:
    return {name: _written(getattr(value, name)) for name in names}


def _read_members(kind: type, names: tuple[str, ...], content: dict[str, Any]) -> Any:
    members = {name: _read(content[name]) for name in names if name in content}
    if kind is not Entity:
        return kind(**members)
    row = Entity(members["logical_name"])
    for name, member in members.items():
        setattr(row, name, member)
    return row


def _write_context(context: PluginContext) -> dict[str, Any]:
    return _write_mapping(context.__getstate__())


def _read_context(content: dict[str, Any]) -> PluginContext:
    context = PluginContext.__new__(PluginContext)
    context.__setstate__(_read_mapping(content))
    return context


def _members(kind: type, names: tuple[str, ...]) -> tuple[_Write, _Read]:
    return partial(_write_members, names), partial(_read_members, kind, names)


# --- all of them --------------------------------------------------------------------------------------------------

_AS_THEY_ARE: frozenset[type] = frozenset({bool, int, str})

_RECORDS = (
    AliasedValue,
    Caller,
    ConditionExpression,
    EntityCollection,
    EntityReference,
    FetchExpression,
    FilterExpression,
    LinkEntity,
    MessageOperation,
    Money,
    OptionSetValue,
    OrderExpression,
    Organization,
    PagingInfo,
    QueryExpression,
)

_FORMS: Mapping[type, tuple[_Write, _Read]] = {
    float: (repr, float),
    Decimal: (str, Decimal),
    datetime: (datetime.isoformat, datetime.fromisoformat),
    date: (date.isoformat, date.fromisoformat),
    timedelta: (lambda span: span // timedelta(microseconds=1), lambda count: timedelta(microseconds=count)),
    UUID: (str, UUID),
    bytes: (lambda value: b64encode(value).decode(), b64decode),
    ConditionOperator: (str, ConditionOperator),
    JoinOperator: (str, JoinOperator),
    LogicalOperator: (str, LogicalOperator),
    OrderType: (str, OrderType),
    tuple: (_write_tuple, _read_tuple),
    list: (_write_tuple, lambda content: [_read(each) for each in content]),
    dict: (_write_mapping, _read_mapping),
    Entity: _members(Entity, Entity.__slots__),
    PluginContext: (_write_context, _read_context),
    **{kind: _members(kind, tuple(field.name for field in fields(kind))) for kind in _RECORDS},
}

_READERS: Mapping[str, _Read] = {kind.__name__: reader for kind, (_, reader) in _FORMS.items()}
