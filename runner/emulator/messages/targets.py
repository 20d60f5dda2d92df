"""Finds the rows of a request by id or alternate key, and prepares them as the Target of stage 10."""

from __future__ import annotations

from dataclasses import replace

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, guid, new_guid
from runner.emulator.errors import (
    CannotDeleteUnlessCompleted,
    EntityNotFound,
    InvalidArgument,
    MethodNotSupported,
    RecordNotFoundByEntityKey,
)
from runner.emulator.jobs.changes import complete_change
from runner.emulator.jobs.job import COMPLETED
from runner.emulator.messages.environment import Environment
from runner.emulator.rows.table_records import TableRecords

_GUID_LENGTH = len(EMPTY_GUID)


def new(engine: Environment, row: Entity) -> Entity:
    """A copy of a row to create, as it is before stage 20."""
    table = table_for(engine, "Create", row.logical_name)
    target = row.copy()
    _resolve_lookups(engine, target)
    table.rules.add_defaults(target)
    return target


def existing(engine: Environment, row: Entity) -> Entity:
    """A copy of a row to update, identified by its id."""
    table = table_for(engine, "Update", row.logical_name)
    target = row.copy()
    _resolve_lookups(engine, target)
    id_column = table.rules.primary_id
    target.id = _named_id(target, id_column)
    if target.id is None:
        target.id = _id_by_key(engine, target)
        target.key_attributes = {}
    elif not _is_normalized(target.id):
        target.id = _normalized(target.logical_name, target.id)
    named = target.attributes.setdefault(id_column, target.id)
    if named != target.id:
        target.attributes[id_column] = _normalized(target.logical_name, named)
    if target.logical_name == "asyncoperation":
        job = engine.records.retrieve(target.to_entity_reference(), ("statecode",), formatted=False)
        complete_change(target.attributes, job)
    return target


def _named_id(row: Entity, id_column: str) -> str | None:
    """The id in the row's primary id column or key, in any spelling; None when it is missing or empty."""
    if row.id and row.id != EMPTY_GUID:
        return row.id
    named: str | None = row.attributes.get(id_column) or row.key_attributes.get(id_column)
    return None if named == EMPTY_GUID else named


def table_for(engine: Environment, message: str, name: str) -> TableRecords:
    """The table of a message. Raises EntityNotFound, or MethodNotSupported when it does not support the message."""
    table = engine.records.tables[name]
    if message in table.refused_messages:
        raise MethodNotSupported.of(message, name)
    return table


def refuse_delete(engine: Environment, row: EntityReference) -> None:
    """Raises MethodNotSupported for a row of the platform, or CannotDeleteUnlessCompleted for an unfinished job."""
    table_for(engine, "Delete", row.logical_name)
    if row.logical_name != "asyncoperation":
        return
    if engine.records.retrieve(row, ("statecode",), formatted=False)["statecode"] != COMPLETED:
        raise CannotDeleteUnlessCompleted(
            f"The system job {row.id} is not completed. Cancel it: statecode 3, statuscode 32."
        )


def resolved(engine: Environment, reference: EntityReference) -> EntityReference:
    """A reference to the same row by id, in lower case.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-alternate-key-create-record
    """
    if reference.id == EMPTY_GUID and reference.key_attributes:
        id = reference.key_attributes.get(primary_id(engine, reference.logical_name))
        reference = replace(reference, id=id or _id_by_key(engine, reference), key_attributes={})
    if _is_normalized(reference.id):
        return reference
    return replace(reference, id=_normalized(reference.logical_name, reference.id))


def _is_normalized(id: str) -> bool:
    return len(id) == _GUID_LENGTH and id.lower() == id


def _normalized(table: str, id: str) -> str:
    try:
        return guid(id)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"The id of a row of {table} cannot be {id!r}: {error}") from None


def _resolve_lookups(engine: Environment, row: Entity) -> None:
    """Replace alternate keys in lookups by ids, and write ids in lower case.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-alternate-key-reference-record
    """
    for column, value in row.attributes.items():
        if type(value) is EntityReference and (value.key_attributes or not _is_normalized(value.id)):
            row.attributes[column] = resolved(engine, value)


def _id_by_key(engine: Environment, row: Entity | EntityReference) -> str:
    if not row.key_attributes:
        raise InvalidArgument(f"The {row.logical_name} request needs the id of the row.")
    id = engine.records.resolve_key(row)
    if id is None:
        raise RecordNotFoundByEntityKey.in_table(row.logical_name)
    return id


def resolved_for_upsert(engine: Environment, row: Entity) -> tuple[Entity, bool]:
    """The row to write, and whether it exists.

    The key's columns are not written to an existing row; a new row gets them.
    """
    target = row.copy()
    id_column = primary_id(engine, target.logical_name)
    named = _named_id(target, id_column)
    target.id = None if named is None else _normalized(target.logical_name, named)
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


def primary_id(engine: Environment, logical_name: str) -> str:
    table = engine.store.metadata.tables.get(logical_name)
    if table is None:
        raise EntityNotFound.named(logical_name, engine.store.metadata.tables)
    return table.primary_id_attribute
