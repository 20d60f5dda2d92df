"""Reads rows, and references to rows, from the parameters of functions and actions.

A row names its table in ``@odata.type``. A reference is an ``@odata.id``, or a row with its primary id.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/use-web-api-actions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dataverse_client.types import Entity, EntityCollection, EntityReference, guid
from runner.emulator.metadata.model import Table
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.payload import NAMESPACE

_T = TypeVar("_T")


def row(exchange: Exchange, value: Any) -> Entity:
    """Raises ValueError when the value does not name its table, and InvalidPayload for a wrong column."""
    return exchange.reader().read(_table(exchange, value), value).entity


def rows(exchange: Exchange, value: Any) -> EntityCollection:
    """Raises TypeError when the value is not a list, and what :func:`row` raises."""
    return EntityCollection([row(exchange, each) for each in value])


def reference(exchange: Exchange, value: Any) -> EntityReference:
    """Raises ValueError or KeyError when the value is not a reference, and RecordNotFoundByEntityKey."""
    if isinstance(value, dict) and isinstance(value.get("@odata.id"), str):
        return exchange.resolve(exchange.reader().reference(value["@odata.id"]))
    table = _table(exchange, value)
    return EntityReference(table.logical_name, guid(value[table.primary_id_attribute]))


def references(exchange: Exchange, value: Any) -> list[EntityReference]:
    """Raises TypeError when the value is not a list, and what :func:`reference` raises."""
    return [reference(exchange, each) for each in value]


def read(
    exchange: Exchange, message: str, given: Mapping[str, Any], name: str, kind: Callable[[Exchange, Any], _T]
) -> _T:
    """A parameter of a message as that ``kind``. Raises BadRequest when it is missing or something else."""
    try:
        return kind(exchange, given.get(name))
    except (ValueError, TypeError, KeyError):
        raise BadRequest(f"{message}: the parameter '{name}' is missing or not a valid {kind.__name__}.") from None


def _table(exchange: Exchange, value: Any) -> Table:
    kind = str(value.get("@odata.type")).lstrip("#").removeprefix(NAMESPACE) if isinstance(value, dict) else ""
    table = exchange.schema.metadata.tables.get(kind)
    if table is None:
        raise ValueError
    return table
