"""Inline delivery: a step that runs inside Dataverse's transaction, while the caller waits for our answer.

It can veto. What it does outside CRM and what it changes in Target cannot be part of the transaction, so both wait on
the queue for the transaction's end. When that shows on the row, the changes are written. When it does not, the step is
run once more, on the same context, and what that run registers with ``on_rollback`` is done: a plug-in that does
everything once, however often asked, then undoes what the first run did. So undoing outlives this process, and a
plug-in need not say it in any other way than for the embedded Dataverse.

A process that is killed can leave nothing on the queue, so it does that before: the first time a step asks for a
service, Stripe for one. What it leaves later, if it lives, has an id of its own, and that is how the queue knows.
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
from runner.execution.remote_context import RemoteContext
from runner.execution.step import Step
from runner.intake.deferred import WRITTEN_BACK, DeferredSteps
from runner.intake.errors import NotYetError
from runner.intake.messages import AfterCommit, Begun, after_commit_message, begun_message
from runner.intake.origin import Origin
from runner.intake.rows import Rows, carries
from runner.intake.running import Run, StepRunner
from runner.intake.targets import require_row, row_by_row, targets
from runner.plugin import InvalidPluginExecutionException, OperationStatus

#: Dataverse ends a transaction that takes longer than two minutes.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/analyze-performance
PATIENCE = timedelta(minutes=5)

ROLLED_BACK = "undone, because the transaction was rolled back"


class InlineSteps:
    """Runs steps while Dataverse waits, and does after the commit what has to be done then."""

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
        """Run the steps; returns when the operation may go on, and what it leaves to be done is on the queue.

        Raises:
          InvalidPluginExecutionException: a plug-in vetoes.
          TooDeepError: our own writes set the steps off, again and again.
          Exception: a plug-in failed, or the queue is away. What the steps did is undone.
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
                run.home.undo()
            raise

    def _begin(self, step: Step, remote: RemoteContext) -> None:
        """Leave word, in case we are killed.

        For new rows: when there is none later, the step can be undone, even if it has not got as far as to do anything.
        A row that was there before does not tell how far it got.
        """
        if remote.context.message_name in ("Create", "CreateMultiple"):
            parts = [part for part in row_by_row(remote) if part.context.primary_entity_id != EMPTY_GUID]
            self._queue.send([begun_message(Begun(part, step.id)) for part in parts])

    def give_up(self, begun: Begun) -> None:
        """Say in place of the process that began what it would have said, had it lived.

        If it did, the queue knows a message of that id, and drops this one.
        """
        self._queue.send([after_commit_message(AfterCommit(begun.remote, begun.step_id, None))])

    def finish(self, step: Step, after: AfterCommit, waited: timedelta) -> str:
        """Write the changes of a step that ran inside a transaction, or undo what it did.

        ``waited`` is how long ago that was. Returns what came of it, for the trace.

        Raises:
          NotYetError: the transaction may still be open.
          DataverseError: the changes cannot be written.
          Exception: whatever the plug-in raised, undoing.
        """
        row = self._rows.read(after.remote.context, None)
        if _is_committed(after.remote, row):
            return self._write(step, after, row)
        if waited < self.patience and after.changes is not None:
            raise NotYetError("What the transaction does is not to be seen on the row yet.")
        self._compensate(step, after)
        if row is not None and after.remote.context.message_name != "Delete":
            # Perhaps it was committed and somebody changed the row since: then the row as it is decides.
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
        run.home.undo()
        error = run.execution.error
        # Of whom it is not known that it ever succeeded, a refusal now may be the second one.
        if error is not None and not (after.changes is None and _is_refusal(error)):
            raise error


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, InvalidPluginExecutionException) and error.status is not OperationStatus.RETRY


def _left(step: Step, run: Run, remote: RemoteContext) -> Iterator[QueueMessage]:
    """What is to be done for each row once the transaction is over.

    Raises:
      InvalidRemoteContextError: nobody knows which row it is.
    """
    parts = row_by_row(remote)
    unchanged: list[Mapping[str, Any]] = [{}] * len(parts)
    for part, changes in zip(parts, [*run.changes_of, *unchanged], strict=False):
        if changes or run.home.can_undo:
            require_row(part.context)
            yield after_commit_message(AfterCommit(part, step.id, changes))


def _is_committed(remote: RemoteContext, row: Entity | None) -> bool:
    """A created row is there, a deleted one is gone, and an updated one says what the request sent."""
    message = remote.context.message_name
    if row is None or message == "Delete":
        return row is None and message == "Delete"
    sent = targets(remote.context.input_parameters) if message in ("Update", "UpdateMultiple") else []
    # An empty text is kept as no value.
    return all(
        row.get(column) == (None if value == "" else value) for target in sent for column, value in target.items()
    )
