"""Merges two rows: what refers to the subordinate row then refers to the target, and the subordinate is deactivated.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/merge-entity-using-web-api
Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.mergerequest
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.call import Call
from runner.emulator.errors import InvalidArgument
from runner.emulator.messages.environment import Environment
from runner.emulator.messages.parameters import parameter
from runner.emulator.messages.targets import primary_id, resolved, table_for
from runner.emulator.pipeline.operation import Operation
from runner.emulator.rows.cascade import referring_rows

_INACTIVE = OptionSetValue(1)
#: The tables whose UpdateContent is not used.
_WITHOUT_CONTENT = frozenset({"incident"})
_MASTER = "masterid"


def merge(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Merge the row SubordinateId into Target, whose columns in UpdateContent are set.

    Raises:
      MethodNotSupported: the rows of the table cannot be merged.
      ObjectDoesNotExist: one of the two rows does not exist.
      InvalidArgument: they are the same row, or one of them is not active, or their parents differ and
        PerformParentingChecks is true.
    """
    target = resolved(engine, parameter(parameters, "Target", EntityReference))
    table_for(engine, "Merge", target.logical_name)

    def main(operation: Operation) -> dict[str, Any]:
        _merge(engine, operation, operation.targets[0])
        return {}

    return engine.pipe(Operation("Merge", target.logical_name, call, parameters, main, [target]))


def _merge(engine: Environment, operation: Operation, target: EntityReference) -> None:
    subordinate = EntityReference(target.logical_name, parameter(operation.parameters, "SubordinateId", str))
    subordinate = resolved(engine, subordinate)
    _check(engine, target, subordinate, parents=operation.parameters.get("PerformParentingChecks") is True)
    call = operation.call.on_behalf_of("Merge", operation.parameters)
    for row, column in referring_rows(engine.store, subordinate):
        if row != target and _moves(engine, row, column):
            engine.perform(call, "Update", {"Target": Entity(row.logical_name, row.id, {column: target})})
    if operation.parameters.get("UpdateContent") is not None and target.logical_name not in _WITHOUT_CONTENT:
        engine.perform(call, "Update", {"Target": _content(engine, operation, target)})
    inactive = Entity(subordinate.logical_name, subordinate.id, {"statecode": _INACTIVE})
    engine.perform(call, "Update", {"Target": inactive})
    merged = Entity(subordinate.logical_name, subordinate.id, {"merged": True, _MASTER: target})
    engine.records.overwrite(merged, operation.call.user_id)


def _content(engine: Environment, operation: Operation, target: EntityReference) -> Entity:
    """The columns of UpdateContent for the target, whatever row they come from."""
    content = parameter(operation.parameters, "UpdateContent", Entity)
    if content.logical_name != target.logical_name:
        raise InvalidArgument(f"UpdateContent is a {content.logical_name}, where a {target.logical_name} is merged.")
    columns = {**content.attributes}
    columns.pop(primary_id(engine, target.logical_name), None)
    return Entity(target.logical_name, target.id, columns)


def _moves(engine: Environment, row: EntityReference, column: str) -> bool:
    """Whether a row follows, unlike an earlier subordinate of the subordinate, or a system job."""
    return column != _MASTER and not engine.store.metadata.tables[row.logical_name].columns[column].may_dangle


def _check(engine: Environment, target: EntityReference, subordinate: EntityReference, *, parents: bool) -> None:
    if target == subordinate:
        raise InvalidArgument("Merge cannot be performed on master and sub-entities that are identical.")
    hierarchy = engine.store.metadata.hierarchy(target.logical_name)
    parent = hierarchy.referencing_attribute if hierarchy else "statecode"
    rows = [engine.records.retrieve(each, ("statecode", parent), formatted=False) for each in (target, subordinate)]
    if any(row["statecode"] == _INACTIVE for row in rows):
        raise InvalidArgument("Merge cannot be performed on entity that is inactive.")
    first, second = (row.get(parent) for row in rows)
    if parents and first != second:
        raise InvalidArgument(f"Merge warning: sub-entity will be differently parented: their {parent} differs.")
