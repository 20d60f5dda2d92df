"""Runs one step, in the embedded Dataverse's pipeline or behind a webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from inspect import isawaitable
from time import perf_counter
from typing import Any

from azure_bridge.redaction import redact
from dataverse_client.types import Entity
from runner.execution.deadline import StepTimeoutError, TimeIsUp
from runner.execution.failures import NOT_FOR_PLUGINS, not_for_plugins
from runner.execution.host import Platform, StepHost
from runner.execution.step import Step
from runner.execution.tracebacks import words_of
from runner.plugin import MessageOperation, PluginContext
from runner.tracing.model import StepFinished, StepStarted, TraceSink


class Execution:
    """One run of a step: its context, its trace and its result.

    A :class:`Step`, in contrast, is the registration that many executions share. See also :class:`StepHost`.
    """

    __slots__ = ("_host", "context")

    def __init__(self, context: PluginContext, host: StepHost) -> None:
        self.context = context
        self._host = host

    def __repr__(self) -> str:
        ended = "" if self.error is None else f", {type(self.error).__name__}"
        return f"<{self.step.name!r} at stage {int(self.context.stage)}, depth {self.context.depth}{ended}>"

    @property
    def step(self) -> Step:
        return self._host.step

    @property
    def lines(self) -> list[str]:
        return self._host.lines

    @property
    def started_on(self) -> datetime:
        return self._host.started_on

    @property
    def duration(self) -> float:
        return self._host.duration

    @property
    def error(self) -> Exception | None:
        return self._host.error

    @property
    def changes(self) -> Mapping[str, tuple[Any, Any]]:
        return self._host.changes


def run_step(
    step: Step, operation: MessageOperation, facts: Mapping[str, Any], platform: Platform, sink: TraceSink | None = None
) -> Execution:
    """Run a step's plug-in.

    ``facts`` are the fields of :class:`~runner.plugin.PluginContext` other than the operation and the host.
    """
    host = StepHost(step, platform, sink)
    context = PluginContext(operation, host, **facts)
    execute(context, host)
    return Execution(context, host)


def execute(context: PluginContext, host: StepHost) -> None:
    """Run the plug-in of the host's step with ``context``.

    Its exception is stored in ``host.error``, except KeyboardInterrupt, which is raised.
    """
    host.started_on = host.platform.clock.now()
    if host.sink is None:
        _run(context, host)
    else:
        _run_watched(context, host, host.sink)


def _run(context: PluginContext, host: StepHost) -> None:
    step, started = host.step, perf_counter()
    try:
        if step.isolation == "process":
            # The import is slow, and only needed for a process of its own.
            from runner.execution.isolation import run_isolated

            run_isolated(step, context, host)
        else:
            with host:
                pending = step.plugin.execute(context)
                if pending is not None and isawaitable(pending):
                    # An event loop ends more cleanly by its own timeout than by an interruption.
                    host.expires += _GRACE
                    _wait_for(pending, step.timeout)
    except TimeIsUp:
        # A plug-in that ends exactly at its deadline may be interrupted while the block is left.
        host.error = StepTimeoutError(step.timeout)
    except NOT_FOR_PLUGINS as error:
        host.error = not_for_plugins(error)
    except Exception as error:
        host.error = error
    host.duration = perf_counter() - started


def _run_watched(context: PluginContext, host: StepHost, sink: TraceSink) -> None:
    facts = _trace_facts(host.step, context)
    before = _target_columns(context)
    sink.record(StepStarted(at=host.started_on, **facts))
    _run(context, host)
    host.changes = _difference(before, _target_columns(context))
    error = host.error
    sink.record(
        StepFinished(
            at=host.platform.clock.now(),
            outcome="succeeded" if error is None else "failed",
            duration=host.duration,
            changes=host.changes,
            error=None if error is None else redact(words_of(error)),
            **facts,
        )
    )


def _trace_facts(step: Step, context: PluginContext) -> dict[str, Any]:
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


#: Seconds for a coroutine's event loop to end by itself before the watchdog interrupts it.
_GRACE = 1.0


def _wait_for(pending: Awaitable[None], timeout: float) -> None:
    async def finish() -> None:
        task = asyncio.ensure_future(pending)
        if not (await asyncio.wait({task}, timeout=timeout))[0]:
            raise StepTimeoutError(timeout)
        await task

    # Not within an except clause: its exception would become the context of the plug-in's.
    if not _is_in_event_loop():
        _run_in_a_loop(finish())
        return
    # The caller's thread runs an event loop, and cannot run another.
    with ThreadPoolExecutor(max_workers=1) as helper:
        helper.submit(_run_in_a_loop, finish()).result()


def _run_in_a_loop(work: Coroutine[Any, Any, None]) -> None:
    """Like asyncio.run, but waits only briefly for tasks that resist cancellation."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=_GRACE / 2))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _target_columns(context: PluginContext) -> dict[str, Any]:
    target = context.input_parameters.get("Target")
    return dict(target.attributes) if isinstance(target, Entity) else {}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        column: (before.get(column), after.get(column))
        for column in {**before, **after}
        if before.get(column) != after.get(column) or (column in before) != (column in after)
    }
