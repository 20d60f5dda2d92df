"""One run of one step, wherever it runs: in the embedded Dataverse's pipeline or behind a webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from inspect import isawaitable
from time import perf_counter
from typing import Any

from azure_bridge.redaction import redact
from dataverse_client.types import Entity
from runner.execution.deadline import StepTimeoutError
from runner.execution.host import Home, StepHost
from runner.execution.step import Step
from runner.plugin import MessageOperation, PluginContext
from runner.tracing.model import StepFinished, StepStarted, TraceSink

_UNCHANGED: Mapping[str, tuple[Any, Any]] = {}


class Execution:
    """One run of a step: what it was told, what it traced, and how it ended.

    A :class:`Step` differs from it in being the registration that many executions share. ``duration`` is in
    seconds; ``error`` is whatever the plug-in raised; ``changes`` (filled only when a sink watches) is what the
    plug-in changed in Target, column -> (before, after).
    """

    __slots__ = ("changes", "context", "duration", "error", "lines", "started_on", "step")

    def __init__(self, step: Step, context: PluginContext, lines: list[str], started_on: datetime) -> None:
        self.step = step
        self.context = context
        self.lines = lines
        self.started_on = started_on
        self.duration = 0.0
        self.error: Exception | None = None
        self.changes = _UNCHANGED


def run_step(
    step: Step, operation: MessageOperation, facts: Mapping[str, Any], home: Home, sink: TraceSink | None = None
) -> Execution:
    """Run a step's plug-in. What it raises is kept in ``error``; only a request to stop the program passes.

    ``facts`` are what :class:`~runner.plugin.PluginContext` is told beyond the operation and its host.
    """
    # The host knows neither context nor execution: a cycle would leave every execution to the garbage collector.
    host = StepHost(step, home, sink)
    context = PluginContext(operation, host, **facts)
    execution = Execution(step, context, host.lines, home.clock.now())
    if sink is None:
        _run(execution, host)
    else:
        _run_watched(execution, host, sink)
    return execution


def _run(execution: Execution, host: StepHost) -> None:
    step, started = execution.step, perf_counter()
    try:
        if step.isolation == "process":
            # Only a step that asks for a process of its own pays for the import.
            from runner.execution.isolation import run_isolated

            run_isolated(step, execution.context, host)
        else:
            with host.deadline:
                pending = step.plugin.execute(execution.context)
                if pending is not None and isawaitable(pending):
                    # An event loop ends in better order by itself than by being interrupted.
                    host.deadline.expires += _GRACE
                    _wait_for(pending, step.timeout)
    except Exception as error:
        execution.error = error
    execution.duration = perf_counter() - started


def _run_watched(execution: Execution, host: StepHost, sink: TraceSink) -> None:
    facts = _trace_facts(execution)
    before = _target_columns(execution.context)
    sink.record(StepStarted(at=execution.started_on, **facts))
    _run(execution, host)
    execution.changes = _difference(before, _target_columns(execution.context))
    error = execution.error
    sink.record(
        StepFinished(
            at=host.home.clock.now(),
            outcome="succeeded" if error is None else "failed",
            duration=execution.duration,
            changes=execution.changes,
            error=None if error is None else redact(str(error) or type(error).__name__),
            **facts,
        )
    )


def _trace_facts(execution: Execution) -> dict[str, Any]:
    step, context = execution.step, execution.context
    return {
        "step": step.name,
        "plugin": step.plugin_name,
        "message": context.message_name,
        "entity": context.primary_entity_name,
        "stage": context.stage,
        "mode": context.mode,
        "rank": step.rank,
        "depth": context.depth,
        "correlation_id": context.correlation_id,
    }


#: Seconds a coroutine's event loop has to end before the watchdog ends it.
_GRACE = 1.0


def _wait_for(pending: Awaitable[None], timeout: float) -> None:
    async def finish() -> None:
        try:
            async with asyncio.timeout(timeout):
                await pending
        except TimeoutError:
            raise StepTimeoutError(timeout) from None

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(finish())
        return
    # The caller sits in an event loop of its own, which cannot be entered twice.
    with ThreadPoolExecutor(max_workers=1) as helper:
        helper.submit(asyncio.run, finish()).result()


def _target_columns(context: PluginContext) -> dict[str, Any]:
    target = context.input_parameters.get("Target")
    return dict(target.attributes) if isinstance(target, Entity) else {}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        column: (before.get(column), after.get(column))
        for column in {**before, **after}
        if before.get(column) != after.get(column) or (column in before) != (column in after)
    }
