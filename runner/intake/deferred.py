"""Deferred delivery: a step that runs after the commit, and whose changes to Target are written back to the row.

If the row changes while the step runs, the step runs again on the new row. What a run did outside CRM is undone unless
its changes end up on the row.
"""

from __future__ import annotations

from dataverse_client.errors import ConcurrencyConflictError, DataverseError, NotFoundError
from dataverse_client.types import Entity
from runner.execution.step import Stage, Step
from runner.intake.errors import NotYetError
from runner.intake.rows import Rows, carries
from runner.intake.step_runner import Run, StepRunner
from runner.intake.targets import require_row, targets
from runner.remote_context.context import RemoteContext

#: How often a row that changes while the step runs is read again at once.
MAX_ROUNDS = 3

ROW_GONE = "the row is gone"
UNCHANGED = "nothing to write back"
WRITTEN_BACK = "written back"


class DeferredSteps:
    """Runs steps for operations that have already been committed. Threads may share it."""

    def __init__(self, runner: StepRunner, rows: Rows) -> None:
        self._runner = runner
        self._rows = rows

    def run(self, step: Step, remote: RemoteContext) -> str:
        """Run the step and write its changes back. Returns the result, for the trace.

        Raises:
          NotYetError: the row does not exist yet, or keeps changing.
          DataverseError: the changes cannot be written.
          Exception: whatever the plug-in raised.
        """
        if remote.context.message_name == "Delete" or not _concerns_row(step, remote):
            self._runner.run(step, remote).or_raise()
            return UNCHANGED
        require_row(remote.context)
        return self._converge(step, remote)

    def _converge(self, step: Step, remote: RemoteContext) -> str:
        earlier: Run | None = None
        for _ in range(MAX_ROUNDS):
            row = self._row(remote, earlier)
            if row is None:
                return ROW_GONE
            run = self._runner.run(step, remote, row=row)
            _undo_unless_kept(earlier, row, run)
            if not run.or_raise().changes:
                return UNCHANGED
            if self._write(step, remote, row, run):
                return WRITTEN_BACK
            earlier = run
        if earlier is not None:
            earlier.platform.undo()
        raise NotYetError("The row keeps changing while the step runs.")

    def _row(self, remote: RemoteContext, earlier: Run | None) -> Entity | None:
        wanted = None if remote.is_trimmed else tuple(earlier.changes) if earlier else ()
        row = self._rows.read(remote.context, wanted)
        if row is not None:
            return row
        if earlier is not None:
            earlier.platform.undo()
        elif remote.context.is_in_transaction:
            raise NotYetError("The transaction that makes the row is not committed, or was rolled back.")
        return None

    def _write(self, step: Step, remote: RemoteContext, row: Entity, run: Run) -> bool:
        """Write the changes. Returns False when the row has been changed or deleted since it was read."""
        try:
            self._rows.write_back(step, remote.context, row, run.changes)
        except (ConcurrencyConflictError, NotFoundError):
            return False
        except DataverseError as error:
            # After a transient error the changes may have been written nevertheless, so nothing is undone.
            if not error.is_transient:
                run.platform.undo()
            raise
        return True


def _concerns_row(step: Step, remote: RemoteContext) -> bool:
    """Whether the step needs the row: to write changes, or to replace a Target that was too long to be sent."""
    has_target = bool(targets(remote.context.input_parameters))
    return remote.is_trimmed or (has_target and step.stage < Stage.POST_OPERATION)


def _undo_unless_kept(earlier: Run | None, row: Entity, run: Run) -> None:
    if earlier is None:
        return
    ending = row.copy()
    ending.update(run.changes)
    if not carries(ending, earlier.changes):
        earlier.platform.undo()
