"""Custom APIs of the file as rows of ``customapi``, and the steps that run their plug-ins.

Only a .NET plug-in can be the main operation of a custom API. Here it has none, so that it is an event; a plug-in of
ours is told of it after the commit, by a step on its message, and what it answers reaches nobody.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/customapi-table-columns
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dataverse_client.types import EntityReference, OptionSetValue
from runner.registrations.deploy.rows import API, PARAMETER, PROPERTY, Row
from runner.registrations.identity import api_member_id, custom_api_id

if TYPE_CHECKING:
    from runner.registrations.model import CustomApiRegistration, Registrations

GLOBAL, BOUND_TO_ROW = 0, 1
_SYNC_AND_ASYNC = 2
_MOST_CHARACTERS = 100
_DESCRIPTION = "Kept by runner apply."

#: By Dataverse's names, in the order of their numbers.
TYPES = (
    *("Boolean", "DateTime", "Decimal", "Entity", "EntityCollection", "EntityReference", "Float", "Integer", "Money"),
    *("Picklist", "String", "StringArray", "Guid"),
)


def custom_api_rows(registrations: Registrations) -> list[Row]:
    """Every custom API followed by its request parameters and response properties."""
    rows: list[Row] = []
    for name, api in registrations.custom_apis.items():
        row = _api(name, api, registrations)
        rows += [row, *_members(row, name, api)]
    return rows


def custom_api_problems(rows: list[Row], registered: Mapping[str, Row]) -> Iterator[str]:
    """What Dataverse changes of no custom API that is there."""
    for row in rows:
        there = registered.get(row.id)
        if row.table != API or there is None:
            continue
        for column in ("bindingtype", "boundentitylogicalname", "isfunction"):
            if (there.columns.get(column) or None) != (row.columns.get(column) or None):
                yield (
                    f"Custom API {row.name}: {column} cannot be changed once it is there. Remove the custom API in the "
                    "environment, or give this one another name."
                )


def _api(name: str, api: CustomApiRegistration, registrations: Registrations) -> Row:
    table = registrations.logical_name(api.entity) if api.entity else None
    columns: dict[str, Any] = {
        "uniquename": name,
        "bindingtype": OptionSetValue(BOUND_TO_ROW if table else GLOBAL),
        "boundentitylogicalname": table,
        "isfunction": api.is_function,
        "allowedcustomprocessingsteptype": OptionSetValue(_SYNC_AND_ASYNC),
        **_texts(name, name),
    }
    return Row(API, custom_api_id(name), columns)


def _members(api: Row, name: str, registration: CustomApiRegistration) -> Iterator[Row]:
    for key, parameter in registration.request_parameters.items():
        yield _member(PARAMETER, api, name, key, parameter.type, isoptional=parameter.optional)
    for key, kind in registration.response_properties.items():
        yield _member(PROPERTY, api, name, key, kind)


def _member(table: str, api: Row, api_name: str, key: str, kind: str, **more: bool) -> Row:
    """What its id is derived from never changes: a parameter of another type is another parameter."""
    columns: dict[str, Any] = {
        "uniquename": key,
        "type": OptionSetValue(TYPES.index(kind)),
        f"{API}id": EntityReference(API, api.id, api_name),
        **_texts(f"{api_name}.{key}", key),
        **more,
    }
    return Row(table, api_member_id(table, api_name, key, kind, *(str(value) for value in more.values())), columns)


def _texts(name: str, display_name: str) -> dict[str, str]:
    return {
        "name": name[:_MOST_CHARACTERS],
        "displayname": display_name[:_MOST_CHARACTERS],
        "description": _DESCRIPTION,
    }
