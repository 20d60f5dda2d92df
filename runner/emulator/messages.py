"""The messages of the organization service: what each means, as operations for the pipeline.

A handler is given the request's parameters, its own copy, and answers the results.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/use-messages
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityCollection,
    EntityReference,
    FetchExpression,
    OptionSetValue,
    OrganizationRequest,
    OrganizationResponse,
    new_guid,
)
from runner.emulator.call import Call
from runner.emulator.errors import (
    EntityNotFound,
    InvalidArgument,
    NotSupported,
    OrganizationServiceFault,
    RecordNotFoundByEntityKey,
)
from runner.emulator.operation import NO_ENTITY, Operation
from runner.emulator.plugin_faults import ConcurrencyVersionNotProvided
from runner.emulator.query.fetchxml import fetched_entity, read_fetch
from runner.emulator.query.fetchxml_conditions import Viewpoint
from runner.emulator.query.fetchxml_paging import write_fetch_cookie

if TYPE_CHECKING:
    from runner.emulator.engine import Engine

T = TypeVar("T")


Handler: TypeAlias = "Callable[[Engine, Call, dict[str, Any]], dict[str, Any]]"


# --- one row --------------------------------------------------------------------------------------------------


def create(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    target = _parameter(parameters, "Target", Entity).copy()
    engine.records.add_defaults(target)

    def main(operation: Operation) -> dict[str, Any]:
        return {"id": _insert(engine, operation, operation.targets[0])}

    return engine.pipe(Operation("Create", target.logical_name, call, parameters, main, [target]))


def update(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    target = _existing(engine, _parameter(parameters, "Target", Entity))

    def main(operation: Operation) -> dict[str, Any]:
        _update_row(engine, operation, operation.targets[0])
        return {}

    return engine.pipe(Operation("Update", target.logical_name, call, parameters, main, [target]))


def delete(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    reference = _resolved(engine, _parameter(parameters, "Target", EntityReference))

    def delete_too(dependent: EntityReference) -> None:
        engine.perform(call.on_behalf_of("Delete", parameters), "Delete", {"Target": dependent})

    def main(operation: Operation) -> dict[str, Any]:
        target = operation.targets[0]
        engine.records.delete(target, row_version=_expected_version(operation, target), delete=delete_too)
        return {}

    return engine.pipe(Operation("Delete", reference.logical_name, call, parameters, main, [reference]))


def upsert(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-upsert-insert-update-record"""
    target, found = _resolved_for_upsert(engine, _parameter(parameters, "Target", Entity))
    behalf = call.on_behalf_of("Upsert", parameters)
    if found:
        engine.perform(behalf, "Update", {**parameters, "Target": target})
        id = target.id
    else:
        id = engine.perform(behalf, "Create", {**parameters, "Target": target})["id"]
    return _upserted(target.logical_name, id, created=not found)


def retrieve(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    reference = _parameter(parameters, "Target", EntityReference)

    def main(operation: Operation) -> dict[str, Any]:
        columns = operation.parameters.get("ColumnSet")
        return {"BusinessEntity": engine.records.retrieve(operation.targets[0], columns)}

    name = reference.logical_name
    return engine.pipe(Operation("Retrieve", name, call, parameters, main, [reference], reads=True))


def retrieve_multiple(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    question: Any = _parameter(parameters, "Query", object)
    entity = fetched_entity(question.query) if isinstance(question, FetchExpression) else question.entity_name

    def main(operation: Operation) -> dict[str, Any]:
        return {"BusinessEntityCollection": _found(engine, call, operation.parameters["Query"])}

    return engine.pipe(Operation("RetrieveMultiple", entity, call, parameters, main, reads=True))


def assign(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    reference = _resolved(engine, _parameter(parameters, "Target", EntityReference))

    def main(operation: Operation) -> dict[str, Any]:
        owner = _parameter(operation.parameters, "Assignee", EntityReference)
        return _update_by(engine, operation, {"ownerid": owner})

    return engine.pipe(Operation("Assign", reference.logical_name, call, parameters, main, [reference]))


def set_state(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    reference = _resolved(engine, _parameter(parameters, "EntityMoniker", EntityReference))

    def main(operation: Operation) -> dict[str, Any]:
        state, status = _choice(operation.parameters, "State"), _choice(operation.parameters, "Status")
        return _update_by(engine, operation, {"statecode": state, "statuscode": status})

    name = reference.logical_name
    return engine.pipe(Operation("SetState", name, call, parameters, main, [reference], "EntityMoniker"))


def associate(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return _relate(engine, call, parameters, "Associate")


def disassociate(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return _relate(engine, call, parameters, "Disassociate")


# --- many rows ------------------------------------------------------------------------------------------------


def create_multiple(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Source: https://learn.microsoft.com/power-apps/developer/data-platform/bulk-operations"""
    targets = [row.copy() for row in _rows(parameters)]
    for target in targets:
        engine.records.add_defaults(target)

    def main(operation: Operation) -> dict[str, Any]:
        return {"Ids": [_insert(engine, operation, target) for target in operation.targets]}

    name = targets[0].logical_name
    return engine.pipe(Operation("CreateMultiple", name, call, parameters, main, targets, "Targets"))


def update_multiple(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    targets = [_existing(engine, row) for row in _rows(parameters)]

    def main(operation: Operation) -> dict[str, Any]:
        for target in operation.targets:
            _update_row(engine, operation, target)
        return {}

    name = targets[0].logical_name
    return engine.pipe(Operation("UpdateMultiple", name, call, parameters, main, targets, "Targets"))


def upsert_multiple(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """The rows that are there are updated, the others created: two messages at most, in one transaction."""
    rows = [_resolved_for_upsert(engine, row) for row in _rows(parameters)]
    behalf = call.on_behalf_of("UpsertMultiple", parameters)
    with call.transaction:
        for message, wanted in (("UpdateMultiple", True), ("CreateMultiple", False)):
            targets = [row for row, found in rows if found is wanted]
            if targets:
                engine.perform(behalf, message, {**parameters, "Targets": EntityCollection(targets)})
    return {"Results": [_upserted(row.logical_name, row.id, created=not found) for row, found in rows]}


def delete_multiple(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    raise NotSupported("DeleteMultiple has not yet been implemented. Send a Delete for each row.")


# --- many requests --------------------------------------------------------------------------------------------


def execute_multiple(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Every request in a transaction of its own.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/execute-multiple-requests
    """
    settings = parameters.get("Settings") or {}
    responses: list[dict[str, Any]] = []
    faulted = False
    for index, request in enumerate(_requests(parameters)):
        try:
            response = engine.perform_apart(call, request)
        except OrganizationServiceFault as fault:
            faulted = True
            responses.append({"RequestIndex": index, "Response": None, "Fault": fault})
            if not settings.get("ContinueOnError", False):
                break
        else:
            if settings.get("ReturnResponses", False):
                responses.append({"RequestIndex": index, "Response": response, "Fault": None})
    return {"Responses": responses, "IsFaulted": faulted}


def execute_transaction(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """All requests, or none. The fault of the one that failed carries its ``faulted_request_index``.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/use-executetransaction
    """
    responses: list[OrganizationResponse] = []
    with call.transaction:
        for index, request in enumerate(_requests(parameters)):
            try:
                results = engine.perform(call, request.message_name, request.parameters)
            except OrganizationServiceFault as fault:
                fault.faulted_request_index = index
                raise
            responses.append(OrganizationResponse(request.message_name, results))
    return {"Responses": responses if parameters.get("ReturnResponses") else []}


# --- others ---------------------------------------------------------------------------------------------------


def who_am_i(engine: Engine, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    def main(operation: Operation) -> dict[str, Any]:
        return {
            "UserId": call.user_id,
            "BusinessUnitId": call.caller.business_unit_id,
            "OrganizationId": engine.organization.organization_id,
        }

    return engine.pipe(Operation("WhoAmI", NO_ENTITY, call, parameters, main, reads=True))


#: Lower-case message name -> the name as Dataverse spells it, and what it means.
MESSAGES: Mapping[str, tuple[str, Handler]] = {
    name.lower(): (name, handler)
    for name, handler in (
        ("Create", create),
        ("Update", update),
        ("Delete", delete),
        ("Upsert", upsert),
        ("Retrieve", retrieve),
        ("RetrieveMultiple", retrieve_multiple),
        ("Assign", assign),
        ("SetState", set_state),
        ("SetStateDynamicEntity", set_state),
        ("Associate", associate),
        ("Disassociate", disassociate),
        ("CreateMultiple", create_multiple),
        ("UpdateMultiple", update_multiple),
        ("UpsertMultiple", upsert_multiple),
        ("DeleteMultiple", delete_multiple),
        ("ExecuteMultiple", execute_multiple),
        ("ExecuteTransaction", execute_transaction),
        ("WhoAmI", who_am_i),
    )
}


# --- what they share ------------------------------------------------------------------------------------------


def _parameter(parameters: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = parameters.get(name)
    if not isinstance(value, kind):
        given = "is missing" if value is None else f"is {type(value).__name__}"
        raise InvalidArgument(f"Parameter {name!r} {given}; it takes {kind.__name__}.")
    return value


def _found(engine: Engine, call: Call, question: Any) -> EntityCollection:
    """The rows asked for; their cookie is of the language they were asked for in."""
    if not isinstance(question, FetchExpression):
        return engine.records.retrieve_multiple(question)
    viewpoint = Viewpoint(engine.clock.now(), call.user_id, call.caller.business_unit_id)
    query = read_fetch(question.query, engine.store.metadata, viewpoint)
    found = engine.records.retrieve_multiple(query)
    if found.paging_cookie is not None:
        found.paging_cookie = write_fetch_cookie(found.paging_cookie, _primary_id(engine, query.entity_name))
    return found


def _choice(parameters: Mapping[str, Any], name: str) -> OptionSetValue:
    value = parameters.get(name)
    return OptionSetValue(value) if isinstance(value, int) else _parameter(parameters, name, OptionSetValue)


def _rows(parameters: Mapping[str, Any]) -> list[Entity]:
    rows = list(_parameter(parameters, "Targets", EntityCollection))
    if not rows:
        raise InvalidArgument("Parameter 'Targets' holds no row.")
    names = {row.logical_name for row in rows}
    if len(names) > 1:
        raise InvalidArgument(f"Parameter 'Targets' mixes tables ({', '.join(sorted(names))}); send one at a time.")
    return rows


def _requests(parameters: Mapping[str, Any]) -> Iterable[OrganizationRequest]:
    requests = list(parameters.get("Requests") or ())
    for request in requests:
        if request.message_name.lower() in ("executemultiple", "executetransaction"):
            raise InvalidArgument(f"{request.message_name} cannot be one of the requests of another.")
    return requests


def _existing(engine: Engine, row: Entity) -> Entity:
    """A copy of the row that says by its id which one it is."""
    target = row.copy()
    primary_id = _primary_id(engine, target.logical_name)
    target.id = target.id or target.attributes.get(primary_id)
    if target.id is None or target.id == EMPTY_GUID:
        target.id = _id_by_key(engine, target)
        target.key_attributes = {}
    target.attributes.setdefault(primary_id, target.id)
    return target


def _resolved(engine: Engine, reference: EntityReference) -> EntityReference:
    if reference.id != EMPTY_GUID or not reference.key_attributes:
        return reference
    return EntityReference(reference.logical_name, _id_by_key(engine, reference), row_version=reference.row_version)


def _id_by_key(engine: Engine, row: Entity | EntityReference) -> str:
    if not row.key_attributes:
        raise InvalidArgument(f"The {row.logical_name} request must say which row: its id is missing.")
    id = engine.records.resolve_key(row)
    if id is None:
        raise RecordNotFoundByEntityKey.in_table(row.logical_name)
    return id


def _resolved_for_upsert(engine: Engine, row: Entity) -> tuple[Entity, bool]:
    """The row to write, and whether it is there already.

    A found row is not sent its own key again; a new one gets the key as its columns.
    """
    target = row.copy()
    target.id = target.id or target.attributes.get(_primary_id(engine, target.logical_name))
    id = engine.records.resolve_key(target) if target.id or target.key_attributes else None
    if id is None:
        target.attributes = {**target.key_attributes, **target.attributes}
        target.id = target.id or new_guid()
    else:
        target.id = id
        for column in target.key_attributes:
            target.attributes.pop(column, None)
    target.key_attributes = {}
    return target, id is not None


def _upserted(logical_name: str, id: str | None, *, created: bool) -> dict[str, Any]:
    return {"RecordCreated": created, "Target": EntityReference(logical_name, id or EMPTY_GUID)}


def _primary_id(engine: Engine, logical_name: str) -> str:
    table = engine.store.metadata.tables.get(logical_name)
    if table is None:
        raise EntityNotFound.named(logical_name)
    return table.primary_id_attribute


def _insert(engine: Engine, operation: Operation, target: Entity) -> str:
    if _primary_id(engine, target.logical_name) not in target.attributes:
        # A plug-in put a Target of its own in place of the one that was prepared.
        engine.records.add_defaults(target)
    return engine.records.create(target, operation.call.user_id)


def _update_row(engine: Engine, operation: Operation, target: Entity) -> None:
    engine.records.update(target, operation.call.user_id, row_version=_expected_version(operation, target))


def _expected_version(operation: Operation, target: Entity | EntityReference) -> str | None:
    """Source: https://learn.microsoft.com/power-apps/developer/data-platform/optimistic-concurrency"""
    if operation.parameters.get("ConcurrencyBehavior") != "IfRowVersionMatches":
        return None
    if target.row_version is None:
        raise ConcurrencyVersionNotProvided
    return target.row_version


def _update_by(engine: Engine, operation: Operation, columns: dict[str, Any]) -> dict[str, Any]:
    """What a message of its own comes down to nowadays: an Update, whose steps run too.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/special-update-operation-behavior
    """
    reference = operation.targets[0]
    behalf = operation.call.on_behalf_of(operation.message, operation.parameters)
    engine.perform(behalf, "Update", {"Target": Entity(reference.logical_name, reference.id, columns)})
    return {}


def _relate(engine: Engine, call: Call, parameters: dict[str, Any], message: str) -> dict[str, Any]:
    """Their steps are registered without a table."""

    def main(operation: Operation) -> dict[str, Any]:
        target = _parameter(operation.parameters, "Target", EntityReference)
        relationship = _parameter(operation.parameters, "Relationship", str)
        work = engine.records.associate if message == "Associate" else engine.records.disassociate
        work(target, relationship, operation.parameters.get("RelatedEntities") or ())
        return {}

    return engine.pipe(Operation(message, NO_ENTITY, call, parameters, main))
