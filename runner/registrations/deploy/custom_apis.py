"""Custom APIs of the file as rows of ``customapi``, and the steps that run their plug-ins.

Only a .NET plug-in can be the main operation of a custom API. Here it has none, so that it is an event; a plug-in of
ours is told of it after the commit, by a step on its message, and what it answers reaches nobody.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/customapi-table-columns
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dataverse_client.types import EntityReference, OptionSetValue
from runner.registrations.deploy.rows import API, PARAMETER, PROPERTY, Row
from runner.registrations.deploy.schema import table_metadata
from runner.registrations.identity import api_member_id, custom_api_id

if TYPE_CHECKING:
    from dataverse_client.client import DataverseClient
    from runner.registrations.deploy.environment import Registered
    from runner.registrations.model import CustomApiRegistration, Registrations

GLOBAL, BOUND_TO_ROW = 0, 1
#: AllowedCustomProcessingStepType.
NO_STEPS, ASYNCHRONOUS_ONLY, SYNC_AND_ASYNC = 0, 1, 2
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


def custom_api_problems(client: DataverseClient, rows: Iterable[Row], registered: Registered) -> Iterator[str]:
    """What the environment would refuse of them.

    Raises:
      DataverseError: the environment cannot be read.
    """
    for row in rows:
        if row.table != API:
            continue
        there = registered.custom_apis.get(row.id)
        problems = _changed_for_good(row, there) if there else _not_to_be_made(client, row, registered.others_apis)
        yield from (f"Custom API {row.columns['uniquename']}: {problem}" for problem in problems)


def _changed_for_good(row: Row, there: Row) -> Iterator[str]:
    for column in ("bindingtype", "boundentitylogicalname", "isfunction"):
        if (there.columns.get(column) or None) != (row.columns.get(column) or None):
            yield (
                f"{column} cannot be changed once it is there. Remove the custom API in the environment, or give this "
                "one another name."
            )


def _not_to_be_made(client: DataverseClient, row: Row, taken: Collection[str]) -> Iterator[str]:
    if row.columns["uniquename"].lower() in taken:
        yield "the environment has one of that name, which is somebody else's. Give this one another name."
    table = row.columns["boundentitylogicalname"]
    if table and table_metadata(client, table) is None:
        yield f"it is bound to {table}, and the environment has no such table. Create the table, or name another."


def _api(name: str, api: CustomApiRegistration, registrations: Registrations) -> Row:
    table = registrations.logical_name(api.entity) if api.entity else None
    columns: dict[str, Any] = {
        "uniquename": name,
        "bindingtype": OptionSetValue(BOUND_TO_ROW if table else GLOBAL),
        "boundentitylogicalname": table,
        "isfunction": api.is_function,
        "allowedcustomprocessingsteptype": OptionSetValue(SYNC_AND_ASYNC),
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
