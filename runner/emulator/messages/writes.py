"""Writes rows at stage 30, with their related rows and cascades."""

from __future__ import annotations

from typing import Any

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference
from runner.emulator.call import Call
from runner.emulator.errors import InvalidArgument
from runner.emulator.messages.environment import Environment
from runner.emulator.messages.related_owners import assign_related, owner_to_follow
from runner.emulator.messages.related_rows import create_related, update_related
from runner.emulator.pipeline.operation import Operation
from runner.emulator.plugin_faults import ConcurrencyVersionNotProvided
from runner.emulator.registration.step_rows import CHECKED

#: ConcurrencyBehavior by name, and as the enumeration's number.
_ROW_VERSION_MATCHES = ("IfRowVersionMatches", 1)
_ANY_ROW_VERSION = (None, "Default", 0, "AlwaysOverwrite", 2)


def upserted(logical_name: str, id: str | None, *, created: bool) -> dict[str, Any]:
    return {"RecordCreated": created, "Target": EntityReference(logical_name, id or EMPTY_GUID)}


def is_plain(row: Entity) -> bool:
    """Whether the row has no related rows to write with it."""
    return row.logical_name not in CHECKED and not row.related_entities


def updates_once(engine: Environment, row: Entity) -> bool:
    """Whether the update is a single statement: no new owner, who may cascade to other rows, and no file."""
    files = engine.records.tables[row.logical_name].file_columns
    return is_plain(row) and "ownerid" not in row.attributes and files.isdisjoint(row.attributes)


def insert(engine: Environment, operation: Operation, target: Entity) -> str:
    if is_plain(target):
        id = engine.records.create(target, operation.call.user_id)
        _sign_on_behalf(engine, operation, target, "createdonbehalfby", "modifiedonbehalfby")
        return id
    call = _call_for_related(operation, target) if target.related_entities else operation.call
    with engine.steps.writing(target):
        id = engine.records.create(target, operation.call.user_id)
    _sign_on_behalf(engine, operation, target, "createdonbehalfby", "modifiedonbehalfby")
    if target.related_entities:
        create_related(engine, call, target)
    return id


def insert_all(engine: Environment, operation: Operation, targets: list[Entity]) -> list[str]:
    """Insert many rows. Those of one table without related rows are written together."""
    if not all(is_plain(target) and target.logical_name == operation.entity for target in targets):
        return [insert(engine, operation, target) for target in targets]
    ids = engine.records.create_many(targets, operation.call.user_id)
    for target in targets:
        _sign_on_behalf(engine, operation, target, "createdonbehalfby", "modifiedonbehalfby")
    return ids


def update_row(engine: Environment, operation: Operation, target: Entity) -> None:
    previous_owner = owner_to_follow(engine, target)
    call = operation.call
    if target.related_entities or previous_owner is not None:
        call = _call_for_related(operation, target)
    with engine.steps.writing(target):
        engine.records.update(target, operation.call.user_id, row_version=expected_version(operation, target))
    _sign_on_behalf(engine, operation, target, "modifiedonbehalfby")
    if previous_owner is not None:
        assign_related(engine, call, target, previous_owner)
    if target.related_entities:
        update_related(engine, call, target)


def _call_for_related(operation: Operation, target: Entity) -> Call:
    """The call for related rows. Its parent context has the Target as it is before the platform completes it."""
    request = {**operation.parameters}
    if "Target" in request:
        request["Target"] = target.copy()
    reference = EntityReference(target.logical_name, target.id or EMPTY_GUID)
    return operation.call.on_behalf_of(operation.message, request, reference)


def _sign_on_behalf(engine: Environment, operation: Operation, target: Entity, *columns: str) -> None:
    """Set the "on behalf by" columns to the user who impersonates.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/impersonate-another-user-web-api
    """
    caller = operation.call.caller
    if caller.authenticated_user_id != caller.initiating_user_id:
        engine.records.sign(target, caller.authenticated_user_id, columns)


def expected_version(operation: Operation, target: Entity | EntityReference) -> str | None:
    """Source: https://learn.microsoft.com/power-apps/developer/data-platform/optimistic-concurrency"""
    behavior = operation.parameters.get("ConcurrencyBehavior")
    if behavior in _ANY_ROW_VERSION:
        return None
    if behavior not in _ROW_VERSION_MATCHES:
        raise InvalidArgument(f"ConcurrencyBehavior must be IfRowVersionMatches or AlwaysOverwrite, not {behavior!r}.")
    if target.row_version is None:
        raise ConcurrencyVersionNotProvided
    return target.row_version
