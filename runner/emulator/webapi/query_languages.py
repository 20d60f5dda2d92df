"""What FetchXML and SQL have in common over the Web API: request checks and aliased values."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from dataverse_client.types import AliasedValue, Entity, EntityReference
from runner.emulator.metadata.model import Table
from runner.emulator.query.model import Query
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.http import Preferences
from runner.emulator.webapi.representation import FORMATTED_VALUE, LOOKUP_LOGICAL_NAME, plain

#: The annotation with the column of an alias.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/select-columns#column-aliases
ATTRIBUTE_NAME = "OData.Community.Display.V1.AttributeName"


def check_request(
    exchange: Exchange, table: Table, query: Query, language: str, accepted: Collection[str] = ()
) -> None:
    """Raises BadRequest when the query is of another table than the URL, or is combined with options of OData."""
    if query.entity_name != table.logical_name:
        raise BadRequest(f"{language} queries '{query.entity_name}', but the URL is that of '{table.logical_name}'.")
    for name in exchange.parameters:
        if name.startswith("$") and name not in accepted:
            raise BadRequest(f"The query option {name} cannot be combined with {language}.")


def aliases_of(row: Entity) -> list[str]:
    """The aliases of the row's aliased values."""
    return [name for name, value in row.items() if isinstance(value, AliasedValue)]


def aliased_values(row: Entity, aliases: Iterable[str], preferences: Preferences) -> dict[str, Any]:
    """The aliased values of a row as JSON, with the requested annotations. One without a value is ``null``."""
    formatted, logical_names = preferences.wants(FORMATTED_VALUE), preferences.wants(LOOKUP_LOGICAL_NAME)
    named = preferences.wants(ATTRIBUTE_NAME)
    body: dict[str, Any] = {}
    for alias in aliases:
        value = row.get(alias)
        if named and value is not None and value.attribute_logical_name != alias:
            body[f"{alias}@{ATTRIBUTE_NAME}"] = value.attribute_logical_name
        if formatted and alias in row.formatted_values:
            body[f"{alias}@{FORMATTED_VALUE}"] = row.formatted_values[alias]
        if logical_names and value is not None and isinstance(value.value, EntityReference):
            body[f"{alias}@{LOOKUP_LOGICAL_NAME}"] = value.value.logical_name
        body[alias] = plain(value)
    return body
