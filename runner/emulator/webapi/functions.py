"""Calls functions (GET) and actions (POST), unbound and bound.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/use-web-api-functions
Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/use-web-api-actions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dataverse_client.types import Entity, EntityCollection, EntityReference
from runner.emulator.messages.auto_numbers import AUTO_NUMBER_MESSAGES
from runner.emulator.metadata.model import Table
from runner.emulator.webapi import custom_apis
from runner.emulator.webapi.bulk_delete import bulk_delete
from runner.emulator.webapi.csdl_operations import Operation
from runner.emulator.webapi.definition_writes import create_customer_column, create_tables, reactivate_key
from runner.emulator.webapi.exchange import NO_CONTENT, Exchange, json_response
from runner.emulator.webapi.faults import BadRequest, InvalidPayload, MethodNotAllowed, ResourceNotFound
from runner.emulator.webapi.file_actions import FILE_ACTIONS
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.metadata_changes import retrieve_metadata_changes
from runner.emulator.webapi.option_actions import OPTION_ACTIONS
from runner.emulator.webapi.organization_functions import ORGANIZATION_FUNCTIONS, PUBLISHING
from runner.emulator.webapi.paths import Segment
from runner.emulator.webapi.relationship_eligibility import ELIGIBILITY, ELIGIBLE_TABLES
from runner.emulator.webapi.row_parameters import read, reference, references, row
from runner.emulator.webapi.signatures import SIGNATURES


def operations(exchange: Exchange) -> list[Operation]:
    """All functions and actions that can be called, those of custom APIs included unless they are private."""
    tables = exchange.schema.metadata.tables
    apis = exchange.emulator.custom_apis.values()
    listed = [api for api in apis if not api.is_private and (api.entity is None or api.entity in tables)]
    declared = [custom_apis.operation(api) for api in listed if api.response_properties or not api.is_function]
    return [*_OPERATIONS, *declared]


def knows(exchange: Exchange, name: str) -> bool:
    """Whether there is an unbound function or action of that name."""
    api = exchange.emulator.custom_apis.get(name)
    return name in _FUNCTIONS or name in _ACTIONS or (api is not None and api.entity is None)


def call(exchange: Exchange, segment: Segment) -> Response:
    """Call an unbound function with GET, or an action with POST. Raises ResourceNotFound for the wrong method."""
    name, method = segment.operation or segment.name, exchange.request.method.upper()
    if name in exchange.emulator.custom_apis:
        return custom_apis.call(exchange, exchange.emulator.custom_apis[name], segment.arguments or {})
    results: Mapping[str, Any] | None
    if method == "GET" and name in _FUNCTIONS:
        results = _FUNCTIONS[name](exchange, segment.arguments or {})
    elif method == "POST" and name in _ACTIONS:
        # Actions such as PublishAllXml are called without a body.
        results = _ACTIONS[name](exchange, exchange.request.json_body() if exchange.request.body else {})
        if results is None:
            return NO_CONTENT
    else:
        raise ResourceNotFound.by_method(exchange.address.url)
    return json_response({"@odata.context": exchange.context(f"Microsoft.Dynamics.CRM.{name}Response"), **results})


def call_on_collection(exchange: Exchange, table: Table, segment: Segment) -> Response:
    """Call an operation bound to an entity set: a custom API, or one such as CreateMultiple.

    Raises:
      ResourceNotFound: there is no operation of that name.
      MethodNotAllowed: an operation other than a custom API is not called with POST.
    """
    name = segment.operation or ""
    api = exchange.emulator.custom_apis.get(name)
    if api is not None and api.entity == table.logical_name and not api.is_about_a_row:
        return custom_apis.call(exchange, api, segment.arguments or {})
    if exchange.request.method.upper() != "POST":
        raise MethodNotAllowed.of(exchange.request.method, exchange.address.path)
    if name not in _ON_COLLECTION:
        raise ResourceNotFound.at(segment.name)
    return _ON_COLLECTION[name](exchange, table)


def call_on_row(exchange: Exchange, table: Table, target: EntityReference, segment: Segment) -> Response:
    """Call an operation bound to one row: a custom API, or one such as AddMembersTeam.

    Raises:
      ResourceNotFound: there is no operation of that name.
    """
    if (table.logical_name, segment.operation) in _ON_ROW and exchange.request.method.upper() == "POST":
        return _ON_ROW[table.logical_name, str(segment.operation)](exchange, target)
    api = exchange.emulator.custom_apis.get(segment.operation or "")
    if api is None or api.entity != table.logical_name or not api.is_about_a_row:
        raise ResourceNotFound.at(segment.name)
    return custom_apis.call(exchange, api, segment.arguments or {}, target)


def _retrieve_metadata_changes(exchange: Exchange, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return retrieve_metadata_changes(exchange.schema.metadata, arguments.get("Query"))


def _is_valid_state_transition(exchange: Exchange, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    row = read(exchange, "IsValidStateTransition", arguments, "Entity", reference)
    return exchange.execute("IsValidStateTransition", **{**arguments, "Entity": row})


def _merge(exchange: Exchange, body: dict[str, Any]) -> None:
    """The message takes the id of the ``Subordinate``, as both rows are of one table."""
    target, subordinate = (read(exchange, "Merge", body, name, reference) for name in ("Target", "Subordinate"))
    if subordinate.logical_name != target.logical_name:
        raise BadRequest(f"Merge: Target is a {target.logical_name}, Subordinate a {subordinate.logical_name}.")
    parameters: dict[str, Any] = {"PerformParentingChecks": body.get("PerformParentingChecks", False)}
    if body.get("UpdateContent") is not None:
        parameters["UpdateContent"] = read(exchange, "Merge", body, "UpdateContent", row)
    exchange.execute("Merge", Target=target, SubordinateId=subordinate.id, **parameters)


def _change_members(message: str, exchange: Exchange, team: EntityReference) -> Response:
    members = read(exchange, message, exchange.request.json_body(), "Members", references)
    exchange.execute(message, TeamId=exchange.resolve(team).id, MemberIds=[member.id for member in members])
    return NO_CONTENT


def _auto_number(name: str, exchange: Exchange, body: dict[str, Any]) -> Mapping[str, Any] | None:
    parameters = {key: body[key] for key in ("EntityName", "AttributeName", "Value") if key in body}
    return exchange.execute(name, **parameters) or None


_AUTO_NUMBERS: Mapping[str, Callable[[Exchange, dict[str, Any]], Mapping[str, Any] | None]] = {
    name: partial(_auto_number, name) for name, _ in AUTO_NUMBER_MESSAGES
}
#: Functions: they take the exchange and the arguments, and return the results.
_FUNCTIONS: Mapping[str, Callable[[Exchange, Mapping[str, Any]], Mapping[str, Any]]] = {
    "IsValidStateTransition": _is_valid_state_transition,
    "RetrieveMetadataChanges": _retrieve_metadata_changes,
    **ELIGIBLE_TABLES,
    **ORGANIZATION_FUNCTIONS,
}
#: Actions: they take the exchange and the body, and return the results or, for 204 No Content, None.
_ACTIONS: Mapping[str, Callable[[Exchange, dict[str, Any]], Mapping[str, Any] | None]] = {
    "BulkDelete": bulk_delete,
    "CreateCustomerRelationships": create_customer_column,
    "Merge": _merge,
    "ReactivateEntityKey": reactivate_key,
    "CreateEntities": create_tables,
    **_AUTO_NUMBERS,
    **FILE_ACTIONS,
    **ELIGIBILITY,
    **OPTION_ACTIONS,
    **PUBLISHING,
}


def _create_multiple(exchange: Exchange, table: Table) -> Response:
    ids = exchange.execute("CreateMultiple", Targets=_targets(exchange, table))["Ids"]
    return json_response(
        {"@odata.context": exchange.context("Microsoft.Dynamics.CRM.CreateMultipleResponse"), "Ids": list(ids)}
    )


def _update_multiple(exchange: Exchange, table: Table) -> Response:
    exchange.execute("UpdateMultiple", Targets=_targets(exchange, table))
    return NO_CONTENT


def _upsert_multiple(exchange: Exchange, table: Table) -> Response:
    exchange.execute("UpsertMultiple", Targets=_targets(exchange, table))
    return NO_CONTENT


def _delete_multiple(exchange: Exchange, table: Table) -> Response:
    # Standard tables refuse it; the message itself raises the platform's error.
    exchange.execute("DeleteMultiple", Targets=EntityCollection(entity_name=table.logical_name))
    return NO_CONTENT


_ON_ROW: Mapping[tuple[str, str], Callable[[Exchange, EntityReference], Response]] = {
    ("team", name): partial(_change_members, name) for name in ("AddMembersTeam", "RemoveMembersTeam")
}
_ON_COLLECTION: Mapping[str, Callable[[Exchange, Table], Response]] = {
    "CreateMultiple": _create_multiple,
    "DeleteMultiple": _delete_multiple,
    "UpdateMultiple": _update_multiple,
    "UpsertMultiple": _upsert_multiple,
}


#: For ``$metadata``: an operation without a signature is an error at once.
_OPERATIONS = tuple(
    Operation(name, SIGNATURES[name], name in _FUNCTIONS)
    for name in sorted({*_FUNCTIONS, *_ACTIONS, *_ON_COLLECTION, *(name for _, name in _ON_ROW)})
)


def _targets(exchange: Exchange, table: Table) -> EntityCollection:
    bodies = exchange.request.json_body().get("Targets")
    if not isinstance(bodies, list) or not bodies:
        raise InvalidPayload.of(table.entity_set_name, "'Targets' must hold the rows.")
    return EntityCollection([_target(exchange, table, body) for body in bodies], table.logical_name)


def _target(exchange: Exchange, table: Table, body: Any) -> Entity:
    if not isinstance(body, dict):
        raise InvalidPayload.of(table.entity_set_name, "each of the 'Targets' must be a JSON object.")
    reader = exchange.reader()
    payload = reader.read(table, body)
    if payload.lookups or payload.collections:
        raise InvalidPayload.of(table.entity_set_name, "rows of 'Targets' cannot hold rows to create.")
    if isinstance(body.get("@odata.id"), str):
        named = reader.reference(body["@odata.id"])
        payload.entity.id = None if named.key_attributes else named.id
        payload.entity.key_attributes = dict(named.key_attributes)
    return payload.entity
