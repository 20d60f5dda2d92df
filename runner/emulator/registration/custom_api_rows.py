"""Validates the rows that declare custom APIs, and tells which steps they allow.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/customapi-table-columns
"""

from __future__ import annotations

from dataverse_client.types import Entity
from runner.emulator.errors import DuplicateRecord, EntityNotFound, InvalidArgument
from runner.emulator.storage.store import Store
from runner.execution.step import Mode
from runner.registrations.messages import CUSTOM_API as UNIQUE_NAME

CUSTOM_API = "customapi"
#: The tables whose rows declare a custom API.
DECLARATIONS = frozenset({CUSTOM_API, "customapirequestparameter", "customapiresponseproperty"})

#: BindingType.
BOUND_TO_ROW, BOUND_TO_COLLECTION = 1, 2
#: AllowedCustomProcessingStepType.
_NO_STEPS, _ASYNCHRONOUS_ONLY = 0, 1


def check_declaration(store: Store, row: Entity) -> None:
    """Validate a written row of :data:`DECLARATIONS`.

    Raises:
      InvalidArgument: a column is missing, its name has no publisher's prefix, or it is bound to an unknown table.
      DuplicateRecord: its name is taken.
    """
    if row.get("uniquename") is None:
        raise InvalidArgument(f"{row.logical_name} {row.get('name')!r} has no uniquename.")
    if row.logical_name == CUSTOM_API:
        _check_api(store, row)
    else:
        _check_member(store, row)


def _check_api(store: Store, row: Entity) -> None:
    name, table, binding = row["uniquename"], row.get("boundentitylogicalname"), row.get("bindingtype")
    if not UNIQUE_NAME.match(name):
        raise InvalidArgument(f"Custom API {name!r}: its unique name needs a publisher's prefix, such as new_{name}.")
    if binding and binding.value in (BOUND_TO_ROW, BOUND_TO_COLLECTION) and table not in store.metadata.tables:
        raise EntityNotFound.named(str(table), store.metadata.tables)
    _refuse_second(store, name, "SELECT count(*) FROM customapi WHERE uniquename = ?")


def _check_member(store: Store, row: Entity) -> None:
    name, api = row["uniquename"], row.get("customapiid")
    for column in ("type", "customapiid"):
        if row.get(column) is None:
            raise InvalidArgument(f"{row.logical_name} {name!r} has no {column}.")
    sql = f"SELECT count(*) FROM {row.logical_name} WHERE uniquename = ? AND customapiid = ?"  # noqa: S608
    _refuse_second(store, name, sql, api.id)


def _refuse_second(store: Store, name: str, sql: str, *more: str) -> None:
    if store.execute(sql, (name, *more)).fetchone()[0] > 1:
        raise DuplicateRecord(f"A record with matching key values already exists: the unique name {name!r} is taken.")


def step_refusal(store: Store, message: str, mode: int) -> str | None:
    """Why a step of that mode cannot be registered on a message that a row declares; None when it can."""
    sql = "SELECT allowedcustomprocessingsteptype FROM customapi WHERE uniquename = ?"
    found = store.execute(sql, (message,)).fetchone()
    if found is None or found[0] not in (_NO_STEPS, _ASYNCHRONOUS_ONLY):
        return None
    if found[0] == _ASYNCHRONOUS_ONLY:
        return None if mode == Mode.ASYNCHRONOUS else f"the custom API {message} takes asynchronous steps only"
    return f"the custom API {message} takes no steps, according to its allowedcustomprocessingsteptype"
