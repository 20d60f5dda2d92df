"""Messages about many rows (CreateMultiple ...), and messages that carry other requests (ExecuteMultiple ...).

Source: https://learn.microsoft.com/power-apps/developer/data-platform/bulk-operations
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, EntityCollection, OrganizationRequest, OrganizationResponse
from runner.emulator.call import Call
from runner.emulator.errors import DuplicateRecord, InvalidArgument, NotSupported, OrganizationServiceFault
from runner.emulator.messages.environment import Environment
from runner.emulator.messages.parameters import requests_of, rows_of, settings_of
from runner.emulator.messages.targets import existing, new, resolved_for_upsert
from runner.emulator.messages.writes import insert_all, update_row, upserted
from runner.emulator.pipeline.operation import Operation


def create_multiple(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    targets = [new(engine, row) for row in rows_of(parameters)]

    def main(operation: Operation) -> dict[str, Any]:
        return {"Ids": insert_all(engine, operation, operation.targets)}

    name = targets[0].logical_name
    return engine.pipe(Operation("CreateMultiple", name, call, parameters, main, targets, "Targets"))


def update_multiple(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Update rows. If the same row occurs more than once, the first one counts."""
    firsts: dict[str | None, Entity] = {}
    for row in rows_of(parameters):
        target = existing(engine, row)
        firsts.setdefault(target.id, target)
    targets = list(firsts.values())

    def main(operation: Operation) -> dict[str, Any]:
        for target in operation.targets:
            update_row(engine, operation, target)
        return {}

    name = targets[0].logical_name
    return engine.pipe(Operation("UpdateMultiple", name, call, parameters, main, targets, "Targets"))


def upsert_multiple(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Update the rows that exist and create the others, by at most two messages in one transaction.

    Raises DuplicateRecord when the same row occurs more than once.
    """
    rows = [resolved_for_upsert(engine, row) for row in rows_of(parameters)]
    if len({row.id for row, _ in rows}) < len(rows):
        raise DuplicateRecord("A record with matching key values already exists: 'Targets' contains one row twice.")
    behalf = call.on_behalf_of("UpsertMultiple", parameters)
    with call.transaction:
        for message, wanted in (("UpdateMultiple", True), ("CreateMultiple", False)):
            targets = [row for row, found in rows if found is wanted]
            if targets:
                engine.perform(behalf, message, {**parameters, "Targets": EntityCollection(targets)})
    return {"Results": [upserted(row.logical_name, row.id, created=not found) for row, found in rows]}


def delete_multiple(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    raise NotSupported("DeleteMultiple has not yet been implemented. Send a Delete for each row.")


# --- many requests --------------------------------------------------------------------------------------------


def execute_multiple(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Execute each request in its own transaction; a request may be an ExecuteTransaction.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/execute-multiple-requests
    """
    settings = settings_of(parameters)
    responses: list[dict[str, Any]] = []
    faulted = False
    for index, request in enumerate(requests_of(parameters)):
        try:
            _refuse(request, "ExecuteMultiple")
            response = engine.perform_separately(call, request)
        except OrganizationServiceFault as fault:
            faulted = True
            responses.append({"RequestIndex": index, "Response": None, "Fault": fault})
            if not settings.get("ContinueOnError", False):
                break
        else:
            if settings.get("ReturnResponses", False):
                responses.append({"RequestIndex": index, "Response": response, "Fault": None})
    return {"Responses": responses, "IsFaulted": faulted}


def execute_transaction(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Execute all requests, or none. The fault has the ``faulted_request_index`` of the request that failed.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/use-executetransaction
    """
    requests = requests_of(parameters)
    for request in requests:
        _refuse(request, "ExecuteMultiple", "ExecuteTransaction")
    responses: list[OrganizationResponse] = []
    with call.transaction:
        for index, request in enumerate(requests):
            try:
                results = engine.perform(call, request.message_name, request.parameters)
            except OrganizationServiceFault as fault:
                fault.faulted_request_index = index
                raise
            responses.append(OrganizationResponse(request.message_name, results))
    return {"Responses": responses if parameters.get("ReturnResponses") else []}


def _refuse(request: OrganizationRequest, *messages: str) -> None:
    for message in messages:
        if request.message_name.lower() == message.lower():
            raise InvalidArgument(f"{message} cannot be one of the requests of another.")
