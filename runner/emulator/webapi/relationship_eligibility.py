"""Answers which tables can take part in a relationship: all but intersect tables.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-relationships-using-web-api
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest


def _eligible(exchange: Exchange) -> list[str]:
    return [table.logical_name for table in exchange.schema.metadata.tables.values() if not table.is_intersect]


def _may(result: str, exchange: Exchange, body: Mapping[str, Any]) -> dict[str, bool]:
    name = body.get("EntityName")
    if name not in exchange.schema.metadata.tables:
        raise BadRequest(f"{result} needs EntityName, a table's logical name, not '{name}'.")
    return {result: name in _eligible(exchange)}


def _names(exchange: Exchange, arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    return {"EntityNames": _eligible(exchange)}


#: Functions that return the tables a relationship can have at that end.
ELIGIBLE_TABLES: Mapping[str, Callable[[Exchange, Mapping[str, Any]], Mapping[str, Any]]] = dict.fromkeys(
    ("GetValidManyToMany", "GetValidReferencedEntities", "GetValidReferencingEntities"), _names
)
#: Actions that return whether a table can be at that end.
ELIGIBILITY: Mapping[str, Callable[[Exchange, dict[str, Any]], Mapping[str, Any]]] = {
    name: partial(_may, name) for name in ("CanBeReferenced", "CanBeReferencing", "CanManyToMany")
}
