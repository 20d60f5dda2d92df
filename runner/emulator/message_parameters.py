"""What messages have in common: reading their parameters, finding the rows they mean, writing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityCollection,
    EntityReference,
    OptionSetValue,
    OrganizationRequest,
    guid,
    new_guid,
)
from runner.emulator.errors import (
    CannotDeleteUnlessCompleted,
    EntityNotFound,
    InvalidArgument,
    MethodNotSupported,
    RecordNotFoundByEntityKey,
)
from runner.emulator.jobs import COMPLETED
from runner.emulator.operation import Operation
from runner.emulator.plugin_faults import ConcurrencyVersionNotProvided
from runner.emulator.registration.step_rows import CHECKED
from runner.emulator.related_rows import create_related

if TYPE_CHECKING:
    from runner.emulator.engine import Engine

T = TypeVar("T")

#: Tables whose rows can be read, and those of the trace log deleted.
_CLOSED = frozenset({"plugintracelog", "sdkmessage", "sdkmessagefilter"})
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/execute-multiple-requests
MAX_REQUESTS = 1000
#: ConcurrencyBehavior by name, and as the enumeration's number.
_ROW_VERSION_MATCHES = ("IfRowVersionMatches", 1)

GUID_LENGTH = len(EMPTY_GUID)


def parameter(parameters: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = parameters.get(name)
    if not isinstance(value, kind):
        given = "is missing" if value is None else f"is {type(value).__name__}"
        raise InvalidArgument(f"Parameter {name!r} {given}; it takes {kind.__name__}.")
    return value


def choice(parameters: Mapping[str, Any], name: str) -> OptionSetValue:
    value = parameters.get(name)
    return OptionSetValue(value) if isinstance(value, int) else parameter(parameters, name, OptionSetValue)


def rows_of(parameters: Mapping[str, Any]) -> list[Entity]:
    rows = list(parameter(parameters, "Targets", EntityCollection))
    if not rows:
        raise InvalidArgument("Parameter 'Targets' holds no row.")
    names = {row.logical_name for row in rows}
    if len(names) > 1:
        raise InvalidArgument(f"Parameter 'Targets' mixes tables ({', '.join(sorted(names))}); send one at a time.")
    return rows


def requests_of(parameters: Mapping[str, Any]) -> Iterable[OrganizationRequest]:
    requests = list(parameters.get("Requests") or ())
    if len(requests) > MAX_REQUESTS:
        raise InvalidArgument(
            f"The request batch size of {len(requests)} exceeds the maximum batch size allowed: {MAX_REQUESTS}."
        )
    for request in requests:
        if request.message_name.lower() in ("executemultiple", "executetransaction"):
            raise InvalidArgument(f"{request.message_name} cannot be one of the requests of another.")
    return requests


def new(engine: Engine, row: Entity) -> Entity:
    """A copy of the row as it is before stage 20 of its Create."""
    refuse_closed("Create", row.logical_name)
    target = row.copy()
    resolve_lookups(engine, target)
    engine.records.add_defaults(target)
    return target


def existing(engine: Engine, row: Entity) -> Entity:
    """A copy of the row that says by its id which one it is."""
    refuse_closed("Update", row.logical_name)
    target = row.copy()
    resolve_lookups(engine, target)
    id_column = primary_id(engine, target.logical_name)
    target.id = target.id or target.attributes.get(id_column)
    if target.id is None or target.id == EMPTY_GUID:
        target.id = id_by_key(engine, target)
        target.key_attributes = {}
    elif not _is_spelled_as_here(target.id):
        target.id = target.attributes[id_column] = _spelled_as_here(target.logical_name, target.id)
    target.attributes.setdefault(id_column, target.id)
    return target


def refuse_closed(message: str, table: str) -> None:
    """Raises MethodNotSupported: only the platform writes the table."""
    if table in _CLOSED:
        raise MethodNotSupported.of(message, table)


def refuse_unfinished(engine: Engine, job: EntityReference) -> None:
    """Raises CannotDeleteUnlessCompleted: a system job can be deleted once it is over."""
    if engine.records.retrieve(job, ("statecode",), formatted=False)["statecode"] != COMPLETED:
        raise CannotDeleteUnlessCompleted(
            f"The system job {job.id} is not completed. Cancel it: statecode 3, statuscode 32."
        )


def resolved(engine: Engine, reference: EntityReference) -> EntityReference:
    """The same by id, in the one spelling ids have here."""
    if reference.id == EMPTY_GUID and reference.key_attributes:
        return replace(reference, id=id_by_key(engine, reference), key_attributes={})
    if _is_spelled_as_here(reference.id):
        return reference
    return replace(reference, id=_spelled_as_here(reference.logical_name, reference.id))


def _is_spelled_as_here(id: str) -> bool:
    """False also for the rare id that is but has no letter: spelling it once more does no harm."""
    return len(id) == GUID_LENGTH and id.islower()


def _spelled_as_here(table: str, id: str) -> str:
    try:
        return guid(id)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"The id of a row of {table} cannot be {id!r}: {error}") from None


def resolve_lookups(engine: Engine, row: Entity) -> None:
    """Give lookups that name their row by alternate key, or spell its id another way, the id.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-alternate-key-reference-record
    """
    for column, value in row.attributes.items():
        if type(value) is EntityReference and (value.key_attributes or not _is_spelled_as_here(value.id)):
            row.attributes[column] = resolved(engine, value)


def id_by_key(engine: Engine, row: Entity | EntityReference) -> str:
    if not row.key_attributes:
        raise InvalidArgument(f"The {row.logical_name} request must say which row: its id is missing.")
    id = engine.records.resolve_key(row)
    if id is None:
        raise RecordNotFoundByEntityKey.in_table(row.logical_name)
    return id


def resolved_for_upsert(engine: Engine, row: Entity) -> tuple[Entity, bool]:
    """The row to write, and whether it is there already.

    A found row is not sent its own key again; a new one gets the key as its columns.
    """
    target = row.copy()
    target.id = target.id or target.attributes.get(primary_id(engine, target.logical_name))
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


def primary_id(engine: Engine, logical_name: str) -> str:
    table = engine.store.metadata.tables.get(logical_name)
    if table is None:
        raise EntityNotFound.named(logical_name)
    return table.primary_id_attribute


# --- writing rows ---------------------------------------------------------------------------------------------


def upserted(logical_name: str, id: str | None, *, created: bool) -> dict[str, Any]:
    return {"RecordCreated": created, "Target": EntityReference(logical_name, id or EMPTY_GUID)}


def is_plain(row: Entity) -> bool:
    """Whether writing the row is all there is to do."""
    return row.logical_name not in CHECKED and not row.related_entities


def insert(engine: Engine, operation: Operation, target: Entity) -> str:
    if is_plain(target):
        id = engine.records.create(target, operation.call.user_id)
        _sign_on_behalf(engine, operation, target, "createdonbehalfby", "modifiedonbehalfby")
        return id
    with engine.steps.writing(target):
        id = engine.records.create(target, operation.call.user_id)
    _sign_on_behalf(engine, operation, target, "createdonbehalfby", "modifiedonbehalfby")
    if target.related_entities:
        create_related(engine, operation.call.on_behalf_of(operation.message, operation.parameters), target)
    return id


def insert_all(engine: Engine, operation: Operation, targets: list[Entity]) -> list[str]:
    """The same of many rows; those of one table that come alone are written together."""
    if not all(is_plain(target) and target.logical_name == operation.entity for target in targets):
        return [insert(engine, operation, target) for target in targets]
    ids = engine.records.create_many(targets, operation.call.user_id)
    for target in targets:
        _sign_on_behalf(engine, operation, target, "createdonbehalfby", "modifiedonbehalfby")
    return ids


def update_row(engine: Engine, operation: Operation, target: Entity) -> None:
    with engine.steps.writing(target):
        engine.records.update(target, operation.call.user_id, row_version=expected_version(operation, target))
    _sign_on_behalf(engine, operation, target, "modifiedonbehalfby")


def _sign_on_behalf(engine: Engine, operation: Operation, target: Entity, *columns: str) -> None:
    """Have the row tell who really wrote it, where that is not the user it was written as.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/impersonate-another-user-web-api
    """
    caller = operation.call.caller
    if caller.authenticated_user_id != caller.initiating_user_id:
        engine.records.sign(target, caller.authenticated_user_id, columns)


def expected_version(operation: Operation, target: Entity | EntityReference) -> str | None:
    """Source: https://learn.microsoft.com/power-apps/developer/data-platform/optimistic-concurrency"""
    if operation.parameters.get("ConcurrencyBehavior") not in _ROW_VERSION_MATCHES:
        return None
    if target.row_version is None:
        raise ConcurrencyVersionNotProvided
    return target.row_version
