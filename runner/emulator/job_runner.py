"""Runs asynchronous steps and updates their ``asyncoperation`` rows.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/asynchronous-service
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

from dataverse_client.types import Entity, EntityReference
from runner.emulator.call import Call
from runner.emulator.engine import Engine
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.jobs.job import (
    COMPLETED,
    IN_PROGRESS,
    SUCCEEDED,
    SUSPENDED,
    WAITING,
    Job,
    failure,
    is_to_be_retried,
    is_to_be_suspended,
    pause_before_next,
)
from runner.emulator.pipeline.context_copies import detached
from runner.emulator.plugin_faults import fault_of
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.seed import SYSTEM_USER_ID
from runner.emulator.transaction import Transaction
from runner.execution.execution import Execution, execute
from runner.execution.host import StepHost
from runner.plugin import Caller


class Standing(Enum):
    """What to do with a job according to its row."""

    DUE = auto()
    #: Paused, or postponed until later.
    HELD = auto()
    #: Canceled, or deleted.
    OVER = auto()


def run_job(engine: Engine, job: Job) -> bool:
    """Run one attempt of a job and record its result. Returns whether that ended the job."""
    standing = _begin(engine, job)
    if standing is Standing.DUE:
        with _not_lost(engine, job):
            execution = _attempt(engine, job)
            with engine.turn:
                return _finish(engine, job, execution)
    if standing is Standing.HELD:
        engine.jobs.hold(job)
    return False


@contextmanager
def _not_lost(engine: Engine, job: Job) -> Iterator[None]:
    """Put the job back into the queue if its attempt is interrupted, as by Ctrl-C or a full disk."""
    try:
        yield
    except BaseException:
        engine.jobs.hold(job)
        raise


def release_due(engine: Engine) -> None:
    """Release the held jobs that are due."""
    held = engine.jobs.held
    if held:
        with engine.turn:
            engine.jobs.release([job for job in held if _standing(engine, job) is not Standing.HELD])


def is_over(rows: ReadableRecords, job: Job) -> bool:
    """Whether the job was canceled or deleted."""
    row = _row(rows, job)
    return row is None or row["statecode"] == COMPLETED


def _begin(engine: Engine, job: Job) -> Standing:
    with engine.turn:
        standing = _standing(engine, job)
        if standing is Standing.DUE:
            _write(engine, job, {**IN_PROGRESS, "startedon": engine.clock.now(), "postponeuntil": None})
        return standing


def _standing(engine: Engine, job: Job) -> Standing:
    row = _row(engine.records, job)
    if row is None or row["statecode"] == COMPLETED:
        return Standing.OVER
    until = row.get("postponeuntil")
    if until is None:
        return Standing.HELD if row["statecode"] == SUSPENDED else Standing.DUE
    return Standing.HELD if until > engine.clock.now() else Standing.DUE


def _row(rows: ReadableRecords, job: Job) -> Entity | None:
    """The columns of a job's row that are checked before each attempt; None when the row is deleted."""
    try:
        columns = ("statecode", "postponeuntil")
        return rows.retrieve(EntityReference("asyncoperation", job.id), columns, formatted=False)
    except ObjectDoesNotExist:
        return None


def _attempt(engine: Engine, job: Job) -> Execution:
    # A copy, so that changes by one attempt are not visible to the next.
    context = detached(job.context)
    call = Call(
        engine,
        _caller(engine, context.initiating_user_id),
        Transaction(engine.store),
        depth=context.depth,
        correlation_id=context.correlation_id,
        holds_turn=False,
    )
    host = StepHost(job.step, call, engine.sink)
    context.attach(host)
    execute(context, host)
    if host.error is not None:
        engine.undo(call.transaction)
    call.transaction.undo.clear()
    with engine.turn:
        engine.ended(context, host)
    return Execution(context, host)


def _caller(engine: Engine, user_id: str) -> Caller:
    """The caller of the step. If the user no longer exists, the step's own requests are refused."""
    try:
        return engine.users.caller(user_id)
    except ObjectDoesNotExist:
        return Caller(initiating_user_id=user_id, authenticated_user_id=user_id)


def _finish(engine: Engine, job: Job, execution: Execution) -> bool:
    """Record the result of the attempt. Returns whether it was the last one."""
    row = _row(engine.records, job)
    if row is None or row["statecode"] == COMPLETED:
        return True
    error = execution.error
    if is_to_be_retried(job, error) or is_to_be_suspended(error):
        _wait(engine, job, execution, paused=row["statecode"] == SUSPENDED)
        return False
    if error is None and job.step.async_auto_delete:
        with Transaction(engine.store):
            engine.records.delete(EntityReference("asyncoperation", job.id))
    else:
        _write(engine, job, _outcome(engine, job, execution))
    return True


def _wait(engine: Engine, job: Job, execution: Execution, *, paused: bool) -> None:
    """Hold the job until its retry, or until a user resumes it. A job paused in the meantime stays paused."""
    columns = {**WAITING, **_messages(execution)}
    if is_to_be_retried(job, execution.error):
        columns["retrycount"] = job.attempt
        if not paused:
            columns["postponeuntil"] = engine.clock.now() + pause_before_next(job, engine.back_off)
        job = job.retried()
    _write(engine, job, columns)
    engine.jobs.put([job])


def _outcome(engine: Engine, job: Job, execution: Execution) -> dict[str, Any]:
    ended = {"completedon": engine.clock.now(), "data": None}
    if execution.error is None:
        return {**SUCCEEDED, **ended, **_NO_MESSAGES}
    return {**failure(execution.error), **_messages(execution), **ended, "retrycount": job.attempt - 1}


def _messages(execution: Execution) -> dict[str, Any]:
    fault = fault_of(execution)
    return {"message": fault.message, "friendlymessage": fault.message, "errorcode": signed(fault.code)}


#: Clears the messages of an earlier attempt.
_NO_MESSAGES = dict.fromkeys(("message", "friendlymessage", "errorcode"))


def signed(code: int) -> int:
    """An error code as the signed 32-bit integer that Dataverse stores."""
    return code - 2**32 if code >= 2**31 else code


def _write(engine: Engine, job: Job, columns: dict[str, Any]) -> None:
    with Transaction(engine.store):
        engine.records.overwrite(Entity("asyncoperation", job.id, columns), SYSTEM_USER_ID)
