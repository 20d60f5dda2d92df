"""Inline delivery: a step that runs inside Dataverse's transaction, while Dataverse waits for our answer.

The step can refuse the operation. Its changes to Target, and what it did outside CRM, are not part of the transaction,
so an after-commit message waits on the queue until the transaction has ended:

- If the row shows that it was committed, the changes are written.
- If not, the step is run again on the same context, and what this run registers with ``on_rollback`` is carried out.
  An idempotent plug-in thereby undoes what its first run did. This works in any process, and plug-ins register their
  actions exactly as for the embedded Dataverse.

In case the process is killed before it can queue that message, it queues a begun message the first time the step asks
for a service. After a while this is turned into an after-commit message, which duplicate detection drops if the process
did queue its own: both have the same id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from azure_bridge.once import Once
from azure_bridge.queues.contract import MessageQueue, QueueMessage
from dataverse_client.errors import ConcurrencyConflictError
from dataverse_client.types import EMPTY_GUID, Entity
from runner.execution.step import Step
from runner.intake.deferred import WRITTEN_BACK, DeferredSteps
from runner.intake.errors import NotYetError
from runner.intake.messages import AfterCommit, Begun, after_commit_message, begun_message
from runner.intake.origin import Origin
from runner.intake.rows import Rows, carries
from runner.intake.step_runner import Run, StepRunner
from runner.intake.targets import require_row, row_by_row, targets
from runner.plugin import InvalidPluginExecutionException, OperationStatus
from runner.remote_context.context import RemoteContext

#: Dataverse ends a transaction that takes longer than two minutes.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/analyze-performance
PATIENCE = timedelta(minutes=5)

ROLLED_BACK = "undone, because the transaction was rolled back"


class InlineSteps:
    """Runs steps while Dataverse waits, and finishes them when the transaction has ended."""

    def __init__(
        self,
        runner: StepRunner,
        rows: Rows,
        deferred: DeferredSteps,
        queue: MessageQueue,
        *,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._runner = runner
        self._rows = rows
        self._deferred = deferred
        self._queue = queue
        self.patience = patience

    def answer(self, steps: Sequence[Step], remote: RemoteContext) -> None:
        """Run the steps. Returns when the operation may go on, with the after-commit messages on the queue.

        Raises:
          InvalidPluginExecutionException: a plug-in refuses the operation.
          TooDeepError: the chain of our own writes that led here is too long.
          Exception: a plug-in failed, or the queue is away. What the steps did has been undone.
        """
        runs: list[tuple[Step, Run]] = []
        origin = Origin.of(remote.context)
        try:
            for step in steps:
                if step.id == origin.written_back_by:
                    continue
                begin = Once(partial(self._begin, step, remote))
                run = self._runner.run(step, remote, in_transaction=True, before_services=begin)
                runs.append((step, run.or_raise()))
            left = [after for step, run in runs for after in _left(step, run, remote)]
            if left:
                self._queue.send(left)
        except Exception:
            for _, run in reversed(runs):
                run.platform.undo()
            raise

    def _begin(self, step: Step, remote: RemoteContext) -> None:
        """Queue a begun message for each new row, in case this process is killed.

        Only for new rows: one that is missing later proves that the step has to be undone. A row that existed before
        proves nothing.
        """
        if remote.context.message_name in ("Create", "CreateMultiple"):
            parts = [part for part in row_by_row(remote) if part.context.primary_entity_id != EMPTY_GUID]
            self._queue.send([begun_message(Begun(part, step.id)) for part in parts])

    def give_up(self, begun: Begun) -> None:
        """Queue the after-commit message in place of the process that began the step and may have been killed.

        If that process did queue its own, duplicate detection drops this one.
        """
        self._queue.send([after_commit_message(AfterCommit(begun.remote, begun.step_id, None))])

    def finish(self, step: Step, after: AfterCommit, waited: timedelta) -> str:
        """Write the changes of a step that ran inside a transaction, or undo what it did.

        ``waited`` is the time since then. Returns the result, for the trace.

        Raises:
          NotYetError: the transaction may still be open.
          DataverseError: the changes cannot be written.
          Exception: the plug-in failed in the run that was to undo the first one.
        """
        row = self._rows.read(after.remote.context, None)
        if _is_committed(after.remote, row):
            return self._write(step, after, row)
        if waited < self.patience and after.changes is not None:
            raise NotYetError("The row does not show yet what the transaction does.")
        self._compensate(step, after)
        if row is not None and after.remote.context.message_name != "Delete":
            # It may have been committed and changed by somebody since, so the step runs on the row as it is now.
            self._deferred.run(step, after.remote)
        return ROLLED_BACK

    def _write(self, step: Step, after: AfterCommit, row: Entity | None) -> str:
        changes = after.changes or {}
        if row is not None and not carries(row, changes):
            try:
                self._rows.write_back(step, after.remote.context, row, changes)
            except ConcurrencyConflictError as error:
                raise NotYetError("Somebody else is changing the row.") from error
        return WRITTEN_BACK

    def _compensate(self, step: Step, after: AfterCommit) -> None:
        run = self._runner.run(step, after.remote, in_transaction=True)
        run.platform.undo()
        error = run.execution.error
        # When it is unknown whether the first run succeeded, it may have refused too: then nothing is to be undone.
        if error is not None and not (after.changes is None and _is_refusal(error)):
            raise error


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, InvalidPluginExecutionException) and error.status is not OperationStatus.RETRY


def _left(step: Step, run: Run, remote: RemoteContext) -> Iterator[QueueMessage]:
    """The after-commit messages of a run, one for each row that has something to be written or undone.

    Raises:
      InvalidRemoteContextError: the notification does not name the row.
    """
    parts = row_by_row(remote)
    unchanged: list[Mapping[str, Any]] = [{}] * len(parts)
    for part, changes in zip(parts, [*run.changes_of, *unchanged], strict=False):
        if changes or run.platform.can_undo:
            require_row(part.context)
            yield after_commit_message(AfterCommit(part, step.id, changes))


def _is_committed(remote: RemoteContext, row: Entity | None) -> bool:
    """Whether a created row exists, a deleted one does not, or an updated one has the values of the request."""
    message = remote.context.message_name
    if row is None or message == "Delete":
        return row is None and message == "Delete"
    sent = targets(remote.context.input_parameters) if message in ("Update", "UpdateMultiple") else []
    # Dataverse stores an empty text as null.
    return all(
        row.get(column) == (None if value == "" else value) for target in sent for column, value in target.items()
    )
