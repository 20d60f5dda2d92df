"""Requests for functions, actions and metadata: everything in the Web API beside operations on rows.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/use-web-api-functions
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dataverse_client.exact_json import dumps
from dataverse_client.exchange import Request
from dataverse_client.metadata import Tables
from dataverse_client.query import query_string
from dataverse_client.types import Entity, EntityCollection, EntityReference, is_guid
from dataverse_client.webapi import checked_guid, encode_entity, encode_id, encode_value, quoted, row_path

#: Names with these prefixes are functions, which only read and are called by GET; all others are actions.
_FUNCTION_PREFIXES = ("Retrieve", "WhoAmI", "Get", "IsValid", "InitializeFrom")


def is_function(name: str) -> bool:
    """Whether a message is a function, judged by Dataverse's naming, which custom APIs need not follow."""
    return name.startswith(_FUNCTION_PREFIXES)


def function_request(name: str, parameters: Mapping[str, Any], tables: Tables) -> Request:
    """``Name(A=@p1)?@p1=...``: parameters are sent as aliases, which can hold any value."""
    aliases = {f"@p{number}": key for number, key in enumerate(parameters, 1)}
    arguments = ",".join(f"{key}={alias}" for alias, key in aliases.items())
    values = ((alias, _alias_value(parameters[key], f"{name}.{key}", tables)) for alias, key in aliases.items())
    return Request("GET", f"{name}({arguments}){query_string(values)}")


def action_request(name: str, parameters: Mapping[str, Any], tables: Tables) -> Request:
    """A POST with the parameters as its body. It is not repeatable, because its effect is unknown."""
    body = {key: _parameter(value, f"{name}.{key}", tables) for key, value in parameters.items()}
    return Request("POST", name, {"Content-Type": "application/json"}, dumps(body), repeatable=False)


def definition_request(path: str, definition: Mapping[str, Any]) -> Request:
    """A POST of metadata, unchanged. It is not repeatable: creating a table can take longer than the read timeout."""
    return Request("POST", path, {"Content-Type": "application/json"}, dumps(definition), repeatable=False)


def create_multiple_request(entities: Sequence[Entity], tables: Tables) -> Request:
    """The bulk form of Create; all rows belong to the first one's table."""
    table = tables(entities[0].logical_name)
    name = f"{table.entity_set_name}/Microsoft.Dynamics.CRM.CreateMultiple"
    return action_request(name, {"Targets": list(entities)}, tables)


def _alias_value(value: Any, where: str, tables: Tables) -> str:
    if isinstance(value, EntityReference):
        return dumps({"@odata.id": row_path(value, tables)}).decode()
    encoded = _parameter(value, where, tables)
    if not isinstance(encoded, str):
        return dumps(encoded).decode()
    # OData writes ids and times without quotes.
    is_text = isinstance(value, str) and not is_guid(value)
    return quoted(encoded, where) if is_text else encoded


def _parameter(value: Any, where: str, tables: Tables) -> Any:
    match value:
        case EntityReference(logical_name=logical_name, id=id):
            return {**_typed(logical_name), tables(logical_name).primary_id_attribute: checked_guid(id, where)}
        case Entity():
            return _typed_entity(value, tables)
        case EntityCollection(entities=entities):
            return [_typed_entity(entity, tables) for entity in entities]
        case list():
            return [_parameter(item, where, tables) for item in value]
    return encode_value(value, where)


def _typed_entity(entity: Entity, tables: Tables) -> dict[str, Any]:
    """A row inside a parameter, where its type and its id have to be given."""
    return {**_typed(entity.logical_name), **encode_id(entity, tables), **encode_entity(entity, tables)}


def _typed(logical_name: str) -> dict[str, str]:
    return {"@odata.type": f"Microsoft.Dynamics.CRM.{logical_name}"}
