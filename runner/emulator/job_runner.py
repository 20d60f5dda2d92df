"""Runs asynchronous steps and keeps their ``asyncoperation`` rows.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/asynchronous-service
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, EntityReference
from runner.emulator.call import Call
from runner.emulator.context_copies import apart
from runner.emulator.engine import Engine
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.jobs import COMPLETED, IN_PROGRESS, SUCCEEDED, WAITING, Job, failure, is_to_be_retried
from runner.emulator.plugin_faults import fault_of
from runner.emulator.seed import SYSTEM_USER_ID
from runner.emulator.transaction import Transaction
from runner.execution.execution import Execution, execute
from runner.execution.host import StepHost


def run_job(engine: Engine, job: Job) -> bool:
    """Run one attempt of a job and write down what became of it. Answers whether the job is over."""
    if not _begin(engine, job):
        return True
    execution = _attempt(engine, job)
    with engine.turn:
        retried = _is_wanted(engine, job) and _finish(engine, job, execution)
    if retried:
        engine.jobs.put([job.retried()])
    return not retried


def _begin(engine: Engine, job: Job) -> bool:
    """Whether the job still is to be run."""
    with engine.turn:
        if not _is_wanted(engine, job):
            return False
        _write(engine, job, {**IN_PROGRESS, "startedon": engine.clock.now()})
        return True


def _is_wanted(engine: Engine, job: Job) -> bool:
    """Whether nobody has canceled or deleted the job meanwhile, even the job itself."""
    try:
        row = engine.records.retrieve(EntityReference("asyncoperation", job.id), ("statecode",), formatted=False)
    except ObjectDoesNotExist:
        return False
    return bool(row["statecode"] != COMPLETED)


def _attempt(engine: Engine, job: Job) -> Execution:
    # What one attempt changes in it, another does not see.
    context = apart(job.context)
    call = Call(
        engine,
        engine.users.caller(context.initiating_user_id),
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
    with engine.turn:
        engine.ended(context, host)
    return Execution(context, host)


def _finish(engine: Engine, job: Job, execution: Execution) -> bool:
    """Write down how the attempt ended. Answers whether there is to be another."""
    retried = is_to_be_retried(job, execution.error)
    if execution.error is None and job.step.async_auto_delete:
        with Transaction(engine.store):
            engine.records.delete(EntityReference("asyncoperation", job.id))
    else:
        _write(engine, job, _outcome(engine, job, execution, retried=retried))
    return retried


def _outcome(engine: Engine, job: Job, execution: Execution, *, retried: bool) -> dict[str, Any]:
    ended = {"completedon": engine.clock.now(), "data": None}
    if execution.error is None:
        return {**SUCCEEDED, **ended}
    fault = fault_of(execution)
    said = {"message": fault.message, "friendlymessage": fault.message, "errorcode": signed(fault.code)}
    if retried:
        return {**WAITING, **said, "retrycount": job.attempt}
    return {**failure(execution.error), **said, **ended, "retrycount": job.attempt - 1}


def signed(code: int) -> int:
    """An error code as the 32-bit integer that Dataverse keeps it as."""
    return code - 2**32 if code >= 2**31 else code


def _write(engine: Engine, job: Job, columns: dict[str, Any]) -> None:
    with Transaction(engine.store):
        engine.records.update(Entity("asyncoperation", job.id, columns), SYSTEM_USER_ID)
