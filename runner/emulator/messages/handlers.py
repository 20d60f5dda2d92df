"""Implements the messages of the organization service as operations of the pipeline.

A handler takes a copy of the request's parameters, and returns the results.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/use-messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, OptionSetValue
from runner.emulator.call import Call
from runner.emulator.messages.auto_numbers import AUTO_NUMBER_MESSAGES
from runner.emulator.messages.bulk import (
    create_multiple,
    delete_multiple,
    execute_multiple,
    execute_transaction,
    update_multiple,
    upsert_multiple,
)
from runner.emulator.messages.definitions import DEFINITION_MESSAGES
from runner.emulator.messages.environment import Environment, Handler
from runner.emulator.messages.files import FILE_MESSAGES
from runner.emulator.messages.merge import merge
from runner.emulator.messages.organization import ORGANIZATION_MESSAGES
from runner.emulator.messages.parameters import choice, parameter, several
from runner.emulator.messages.publishing import PUBLISHING_MESSAGES
from runner.emulator.messages.query_conversions import QUERY_CONVERSIONS
from runner.emulator.messages.retrieval import columns_of, found, queried_table, question_of, related_rows
from runner.emulator.messages.state_transitions import is_valid_state_transition
from runner.emulator.messages.targets import existing, new, refuse_delete, resolved, resolved_for_upsert, table_for
from runner.emulator.messages.teams import add_members, remove_members
from runner.emulator.messages.writes import expected_version, insert, is_plain, update_row, updates_once, upserted
from runner.emulator.pipeline.operation import NO_ENTITY, Operation
from runner.emulator.query.expression_writing import to_query_expression
from runner.emulator.query.model import Query

#: The Status of a SetState for the default status reason of the state.
#: Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.setstaterequest.status
_DEFAULT_STATUS = OptionSetValue(-1)


def create(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    target = new(engine, parameter(parameters, "Target", Entity))

    def main(operation: Operation) -> dict[str, Any]:
        return {"id": insert(engine, operation, operation.targets[0])}

    operation = Operation("Create", target.logical_name, call, parameters, main, [target])
    operation.writes_once = is_plain(target)
    return engine.pipe(operation)


def update(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    target = existing(engine, parameter(parameters, "Target", Entity))

    def main(operation: Operation) -> dict[str, Any]:
        update_row(engine, operation, operation.targets[0])
        return {}

    operation = Operation("Update", target.logical_name, call, parameters, main, [target])
    operation.writes_once = updates_once(engine, target)
    return engine.pipe(operation)


def delete(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    reference = resolved(engine, parameter(parameters, "Target", EntityReference))
    refuse_delete(engine, reference)

    def delete_too(dependent: EntityReference) -> None:
        engine.perform(call.on_behalf_of("Delete", parameters, reference), "Delete", {"Target": dependent})

    def main(operation: Operation) -> dict[str, Any]:
        target = operation.targets[0]
        engine.records.delete(target, row_version=expected_version(operation, target), delete=delete_too)
        return {}

    return engine.pipe(Operation("Delete", reference.logical_name, call, parameters, main, [reference]))


def upsert(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-upsert-insert-update-record"""
    target, found = resolved_for_upsert(engine, parameter(parameters, "Target", Entity))
    behalf = call.on_behalf_of("Upsert", parameters)
    if found:
        engine.perform(behalf, "Update", {**parameters, "Target": target})
        id = target.id
    else:
        id = engine.perform(behalf, "Create", {**parameters, "Target": target}).get("id", EMPTY_GUID)
    return upserted(target.logical_name, id, created=not found)


def retrieve(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    reference = resolved(engine, parameter(parameters, "Target", EntityReference))

    def main(operation: Operation) -> dict[str, Any]:
        target, related = operation.targets[0], operation.parameters.get("RelatedEntitiesQuery")
        row = engine.records.retrieve(target, columns_of(operation.parameters))
        if related is not None:
            row.related_entities = related_rows(engine, call, target, related)
        return {"BusinessEntity": row}

    name = reference.logical_name
    outputs = engine.pipe(Operation("Retrieve", name, call, parameters, main, [reference], reads=True))
    return _renamed(outputs, "BusinessEntity", "Entity")


def retrieve_multiple(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    question = question_of("Query", parameters.get("Query"))
    entity = queried_table(question)
    table = engine.store.metadata.tables.get(entity)
    if isinstance(question, Query) and table and engine.steps.plans("RetrieveMultiple", entity) is not None:
        parameters["Query"] = to_query_expression(question, engine.store.metadata) or question

    def main(operation: Operation) -> dict[str, Any]:
        asked = question_of("Query", operation.parameters.get("Query"))
        return {"BusinessEntityCollection": found(engine, call, asked)}

    outputs = engine.pipe(Operation("RetrieveMultiple", entity, call, parameters, main, reads=True))
    return _renamed(outputs, "BusinessEntityCollection", "EntityCollection")


def assign(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    reference = resolved(engine, parameter(parameters, "Target", EntityReference))
    table_for(engine, "Assign", reference.logical_name)

    def main(operation: Operation) -> dict[str, Any]:
        owner = parameter(operation.parameters, "Assignee", EntityReference)
        return _update_by(engine, operation, {"ownerid": owner})

    return engine.pipe(Operation("Assign", reference.logical_name, call, parameters, main, [reference]))


def set_state(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return _set_state(engine, call, parameters, "SetState")


def set_state_dynamic_entity(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return _set_state(engine, call, parameters, "SetStateDynamicEntity")


def _set_state(engine: Environment, call: Call, parameters: dict[str, Any], message: str) -> dict[str, Any]:
    reference = resolved(engine, parameter(parameters, "EntityMoniker", EntityReference))
    table_for(engine, message, reference.logical_name)

    def main(operation: Operation) -> dict[str, Any]:
        state, status = choice(operation.parameters, "State"), choice(operation.parameters, "Status")
        columns = {"statecode": state, "statuscode": status}
        if status == _DEFAULT_STATUS:
            del columns["statuscode"]
        return _update_by(engine, operation, columns)

    name = reference.logical_name
    return engine.pipe(Operation(message, name, call, parameters, main, [reference], "EntityMoniker"))


def associate(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return _relate(engine, call, parameters, "Associate")


def disassociate(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return _relate(engine, call, parameters, "Disassociate")


#: Message name in lower case -> the name as Dataverse spells it, and its handler.
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
        ("SetStateDynamicEntity", set_state_dynamic_entity),
        ("Associate", associate),
        ("Disassociate", disassociate),
        ("CreateMultiple", create_multiple),
        ("UpdateMultiple", update_multiple),
        ("UpsertMultiple", upsert_multiple),
        ("DeleteMultiple", delete_multiple),
        ("ExecuteMultiple", execute_multiple),
        ("ExecuteTransaction", execute_transaction),
        ("IsValidStateTransition", is_valid_state_transition),
        ("Merge", merge),
        ("AddMembersTeam", add_members),
        ("RemoveMembersTeam", remove_members),
        *AUTO_NUMBER_MESSAGES,
        *DEFINITION_MESSAGES,
        *ORGANIZATION_MESSAGES,
        *PUBLISHING_MESSAGES,
        *QUERY_CONVERSIONS,
        *FILE_MESSAGES,
    )
}


def _renamed(outputs: dict[str, Any], to_steps: str, to_clients: str) -> dict[str, Any]:
    """The outputs for clients, which get a result by another name than steps do.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/understand-the-data-context#outputparameters
    """
    return {**outputs, to_clients: outputs.get(to_steps)}


def _update_by(engine: Environment, operation: Operation, columns: dict[str, Any]) -> dict[str, Any]:
    """Do the work of a message that is now a special case of Update, including the steps of Update.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/special-update-operation-behavior
    """
    reference = operation.targets[0]
    behalf = operation.call.on_behalf_of(operation.message, operation.parameters)
    engine.perform(behalf, "Update", {"Target": Entity(reference.logical_name, reference.id, columns)})
    return {}


def _relate(engine: Environment, call: Call, parameters: dict[str, Any], message: str) -> dict[str, Any]:
    """Associate or Disassociate. Their steps are registered without a table."""

    def main(operation: Operation) -> dict[str, Any]:
        target = resolved(engine, parameter(operation.parameters, "Target", EntityReference))
        relationship = parameter(operation.parameters, "Relationship", str)
        work = engine.associations.associate if message == "Associate" else engine.associations.disassociate
        related = [resolved(engine, each) for each in several(operation.parameters, "RelatedEntities", EntityReference)]
        work(target, relationship, related, operation.call.user_id)
        return {}

    return engine.pipe(Operation(message, NO_ENTITY, call, parameters, main))
