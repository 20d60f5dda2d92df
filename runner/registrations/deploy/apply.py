"""Carries out a plan, in one change set as far as it fits into one.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/execute-batch-operations-using-web-api
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dataverse_client.operations import Create, Delete, Operation, Update
from dataverse_client.types import Entity, OptionSetValue
from runner.registrations.deploy.environment import read_listeners
from runner.registrations.deploy.plan import Change, Kind, Plan
from runner.registrations.deploy.problems import ApplyError
from runner.registrations.deploy.steps import DISABLED

if TYPE_CHECKING:
    from dataverse_client.client import DataverseClient

#: Of a change set: Dataverse takes a thousand operations, and a change may be two.
MOST_CHANGES = 500

_STATUS_REASON = {0: 1, 1: 2}


def apply_plan(
    client: DataverseClient, plan: Plan, progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Make the plan's changes. ``progress`` hears how many of how many are done.

    Whatever ends it, a plan made afterwards says what is left to do.

    Raises:
      ApplyError: a change set was refused; those before it are done.
    """
    total, done = len(plan.changes), 0
    for some in _change_sets(plan):
        _make(client, [_with_ids(client, change) for change in some], done)
        done += len(some)
        progress(done, total)


def _change_sets(plan: Plan) -> Iterator[Sequence[Change]]:
    """What awaits the messages of custom APIs comes when those are made."""
    changes = {awaits: [each for each in plan.changes if bool(each.row.awaits) is awaits] for awaits in (False, True)}
    for some in changes.values():
        yield from (some[start : start + MOST_CHANGES] for start in range(0, len(some), MOST_CHANGES))


def _with_ids(client: DataverseClient, change: Change) -> Change:
    awaits, values = change.row.awaits, change.values
    if awaits is None or values is None or "sdkmessageid" not in values:
        return change
    listener = read_listeners(client, [awaits]).get(awaits)
    if listener is None:
        raise ApplyError(
            f"The environment has no message {awaits} although its custom API is there. Run apply again.", 0
        )
    listens = {"sdkmessageid": listener.message, "sdkmessagefilterid": listener.filter}
    return replace(change, values={**values, **{column: value for column, value in listens.items() if value}})


def _make(client: DataverseClient, changes: Sequence[Change], done: int) -> None:
    operations = [operation for change in changes for operation in _operations(change)]
    error = next((result.error for result in client.batch(operations, atomic=True) if result.error), None)
    if error is not None:
        kept = f"{done} changes before it are made" if done else "Nothing was changed"
        raise ApplyError(f"The environment refused the changes: {error} {kept}; run apply again.", done) from error


def _operations(change: Change) -> Iterator[Operation]:
    row, values = change.row, dict(change.values or {})
    if change.kind is Kind.REMOVED:
        yield Delete(row.table, row.id)
        return
    state = values.pop("statecode", None)
    if change.kind is Kind.CREATED:
        yield Create(Entity(row.table, row.id, values))
    elif values:
        yield Update(Entity(row.table, row.id, values))
    # A row is created enabled, whatever its body says.
    if state is not None and (change.kind is Kind.CHANGED or state.value == DISABLED):
        yield Update(Entity(row.table, row.id, _state(state)))


def _state(state: OptionSetValue) -> dict[str, OptionSetValue]:
    return {"statecode": state, "statuscode": OptionSetValue(_STATUS_REASON[state.value])}
