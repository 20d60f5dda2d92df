"""Handles the messages of the queue "dataverse-events": runs their steps, and decides how each message ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

from azure_bridge.queues.contract import MessageQueue, ReceivedMessage
from azure_bridge.redaction import redact
from azure_bridge.settlement import Complete, DeadLetter, RetryLater, RetryPolicy, Settlement
from dataverse_client.errors import (
    AuthenticationError,
    ConcurrencyConflictError,
    DataverseError,
    ThrottledError,
    UnexpectedResponseError,
)
from runner.execution.tracebacks import words_of
from runner.intake.deferred import DeferredSteps
from runner.intake.directory import StepDirectory
from runner.intake.errors import NotYetError, TooDeepError
from runner.intake.inline import InlineSteps
from runner.intake.messages import AfterCommit, Begun, notification_message, read_message
from runner.intake.notification_trace import NotificationTrace
from runner.intake.origin import Origin
from runner.intake.step_runner import Resources
from runner.intake.targets import row_by_row
from runner.plugin import InvalidPluginExecutionException, OperationStatus, PluginContext
from runner.remote_context.context import RemoteContext
from runner.remote_context.errors import RemoteContextError

#: Dead-letter reasons.
INVALID_NOTIFICATION = "InvalidNotification"
REFUSED_BY_PLUGIN = "RefusedByPlugin"
PLUGIN_FAILED = "PluginFailed"
REJECTED_BY_CRM = "RejectedByCrm"
ROW_NOT_READY = "RowNotReady"
TOO_DEEP = "TooDeep"
STEP_GONE = "StepGone"

#: The first delay while a transaction is still open: it usually ends soon.
_SOON = timedelta(milliseconds=200)

NO_STEP = "no step is registered for it"


class Patience(Enum):
    """How often a message is retried for a reason."""

    NONE = "set aside at once"
    SOME = "set aside after the attempts of the retry policy"
    ENDLESS = "comes back until it passes"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error means for its message: the dead-letter reason, and how often to retry before."""

    reason: str
    patience: Patience


class Dispatcher:
    """Handles messages. Threads may share it. The caller carries out the settlements it returns."""

    def __init__(
        self,
        directory: StepDirectory,
        deferred: DeferredSteps,
        inline: InlineSteps,
        queue: MessageQueue,
        resources: Resources,
        *,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._directory = directory
        self._deferred = deferred
        self._inline = inline
        self._queue = queue
        self._clock = resources.clock
        self._trace = NotificationTrace(resources.sink, resources.clock)
        self._retries = retries or RetryPolicy()

    def handle(self, message: ReceivedMessage) -> Settlement:
        """Run the steps a message is for, and decide how it ends. Never raises."""
        told: PluginContext | None = None
        try:
            read = read_message(message.message)
            told = (read if isinstance(read, RemoteContext) else read.remote).context
            if isinstance(read, Begun):
                return self._look_after(read, message)
            note = self._finish(read, message) if isinstance(read, AfterCommit) else self._handle_rows(read)
        except Exception as error:
            return self._failed(message, told, error)
        self._trace.record("handled", told, note)
        return Complete(message)

    def _look_after(self, begun: Begun, message: ReceivedMessage) -> Settlement:
        """A begun message matters only if no after-commit message followed, so it waits. It is not traced."""
        left = self._inline.patience - (self._clock.now() - message.enqueued_at)
        if left > timedelta(0):
            return RetryLater(message, left, "The process that runs the step may still answer.")
        self._inline.give_up(begun)
        return Complete(message)

    def _handle_rows(self, remote: RemoteContext) -> str:
        """Run the steps; a message about many rows, put on the queue by Dataverse itself, is split first."""
        rows = row_by_row(remote)
        if len(rows) == 1:
            return self._run_steps(rows[0])
        self._queue.send([notification_message(row.encode(), row) for row in rows])
        return f"put on the queue again, row by row, for {len(rows)} rows"

    def _run_steps(self, remote: RemoteContext) -> str:
        origin = Origin.of(remote.context)
        steps = [each.step for each in self._directory.matching(remote.context)]
        if not steps:
            return NO_STEP
        notes = [self._deferred.run(step, remote) for step in steps if step.id != origin.written_back_by]
        return ", ".join(dict.fromkeys(notes)) or "our own write-back"

    def _finish(self, after: AfterCommit, message: ReceivedMessage) -> str:
        try:
            step = self._directory[after.step_id].step
        except KeyError:
            raise _StepGoneError(
                f"Step {after.step_id} ran inside a transaction and is no longer registered, so its changes can be "
                "neither written nor undone. Register it again and resubmit this message."
            ) from None
        return self._inline.finish(step, after, self._clock.now() - message.enqueued_at)

    def _failed(self, message: ReceivedMessage, told: PluginContext | None, error: Exception) -> Settlement:
        verdict, description = judge(error), redact(words_of(error))
        is_spent = verdict.patience is Patience.SOME and message.attempt >= self._retries.attempts
        if verdict.patience is Patience.NONE or is_spent:
            self._trace.record("dead-lettered", told, f"{verdict.reason}: {description}")
            return DeadLetter(message, verdict.reason, description)
        retries = replace(self._retries, first=_SOON) if isinstance(error, NotYetError) else self._retries
        delay = retries.delay(message.attempt, at_least=_delay_asked(error))
        self._trace.record("retry later", told, f"{description} Again in {delay.total_seconds():.1f} s.")
        return RetryLater(message, delay, description)


class _StepGoneError(Exception):
    """The step of an after-commit message is no longer registered."""


_VERDICTS: tuple[tuple[type[Exception], Verdict], ...] = (
    (RemoteContextError, Verdict(INVALID_NOTIFICATION, Patience.NONE)),
    (TooDeepError, Verdict(TOO_DEEP, Patience.NONE)),
    (_StepGoneError, Verdict(STEP_GONE, Patience.NONE)),
    (NotYetError, Verdict(ROW_NOT_READY, Patience.SOME)),
    (AuthenticationError, Verdict(REJECTED_BY_CRM, Patience.ENDLESS)),
    (ConcurrencyConflictError, Verdict(REJECTED_BY_CRM, Patience.SOME)),
    (UnexpectedResponseError, Verdict(REJECTED_BY_CRM, Patience.SOME)),
    (DataverseError, Verdict(REJECTED_BY_CRM, Patience.NONE)),
)


def judge(error: Exception) -> Verdict:
    """What an error means for its message: a plug-in that crashed is retried, one that refused is not."""
    if isinstance(error, InvalidPluginExecutionException):
        again = error.status is OperationStatus.RETRY
        return Verdict(REFUSED_BY_PLUGIN, Patience.SOME if again else Patience.NONE)
    if isinstance(error, DataverseError) and error.is_transient:
        return Verdict(REJECTED_BY_CRM, Patience.ENDLESS)
    for kind, verdict in _VERDICTS:
        if isinstance(error, kind):
            return verdict
    return Verdict(PLUGIN_FAILED, Patience.SOME)


def _delay_asked(error: Exception) -> timedelta:
    return timedelta(seconds=(error.retry_after or 0) if isinstance(error, ThrottledError) else 0)
