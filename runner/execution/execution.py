"""One run of one step, wherever it runs: in the embedded Dataverse's pipeline or behind a webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any, Protocol, TypeVar

from azure_bridge.clock import Clock
from azure_bridge.redaction import redact
from dataverse_client.types import Entity, OrganizationRequest, OrganizationResponse, OrganizationService
from runner.execution.deadline import Deadline, StepTimeoutError
from runner.execution.service import MessageService
from runner.execution.step import Step
from runner.plugin import PluginContext
from runner.tracing.model import StepFinished, StepStarted, StepTraced, TraceSink

T = TypeVar("T")


class Home(Protocol):
    """What surrounds an execution and differs from place to place: CRM access, services, undoing."""

    @property
    def clock(self) -> Clock: ...

    def organization_service(self, context: PluginContext, user_id: str | None) -> OrganizationService: ...

    def service(self, kind: type[T]) -> T:
        """Raises LookupError when there is no such service."""

    def on_rollback(self, action: Callable[[], object]) -> None: ...


class Execution:
    """One run of a step: what it was told, what it traced, and how it ended. Also the plug-in's ExecutionHost.

    A :class:`Step` differs from it in being the registration that many executions share. ``duration`` is in
    seconds; ``error`` is whatever the plug-in raised; ``changes`` (filled only when a sink watches) is what the
    plug-in changed in Target, column -> (before, after).
    """

    __slots__ = (
        "_deadline",
        "_home",
        "_sink",
        "changes",
        "context",
        "duration",
        "error",
        "lines",
        "started_on",
        "step",
    )

    context: PluginContext
    started_on: datetime

    def __init__(self, step: Step, home: Home, sink: TraceSink | None = None) -> None:
        self.step = step
        self.lines: list[str] = []
        self.duration = 0.0
        self.error: Exception | None = None
        self.changes: Mapping[str, tuple[Any, Any]] = {}
        self._home = home
        self._sink = sink
        self._deadline = Deadline(step.timeout)

    def run(self, context: PluginContext) -> None:
        """Run the plug-in. What it raises is kept in ``error``; only a request to stop the program passes."""
        self.context = context
        self.started_on = self._home.clock.now()
        if self._sink is None:
            self._execute(context)
        else:
            self._execute_watched(context, self._sink)

    def _execute(self, context: PluginContext) -> None:
        started = perf_counter()
        try:
            with self._deadline:
                pending = self.step.plugin.execute(context)
                if pending is not None:
                    _wait_for(pending, self.step.timeout)
        except Exception as error:
            self.error = error
        self.duration = perf_counter() - started

    def _execute_watched(self, context: PluginContext, sink: TraceSink) -> None:
        facts = self._facts(context)
        before = _target_columns(context)
        sink.record(StepStarted(at=self.started_on, **facts))
        self._execute(context)
        self.changes = _difference(before, _target_columns(context))
        sink.record(
            StepFinished(
                at=self._home.clock.now(),
                outcome="succeeded" if self.error is None else "failed",
                duration=self.duration,
                changes=self.changes,
                error=None if self.error is None else redact(str(self.error) or type(self.error).__name__),
                **facts,
            )
        )

    def _facts(self, context: PluginContext) -> dict[str, Any]:
        return {
            "step": self.step.name,
            "plugin": self.step.plugin_name,
            "message": context.message_name,
            "entity": context.primary_entity_name,
            "stage": context.stage,
            "mode": context.mode,
            "rank": self.step.rank,
            "depth": context.depth,
            "correlation_id": context.correlation_id,
        }

    # --- what the plug-in is given --------------------------------------------------------------------------

    def trace(self, message: str, *arguments: object) -> None:
        line = redact(_formatted(message, arguments))
        self.lines.append(line)
        if self._sink is not None:
            self._sink.record(
                StepTraced(at=self._home.clock.now(), step=self.step.name, depth=self.context.depth, line=line)
            )

    def organization_service(self, user_id: str | None) -> OrganizationService:
        execute = self._home.organization_service(self.context, user_id).execute
        return MessageService(partial(self._shielded, execute))

    def _shielded(
        self, execute: Callable[[OrganizationRequest], OrganizationResponse], request: OrganizationRequest
    ) -> OrganizationResponse:
        """What the platform does for the plug-in is not cut in half when its time is up."""
        self._deadline.shield()
        try:
            return execute(request)
        finally:
            self._deadline.unshield()

    def service(self, kind: type[T]) -> T:
        return self._home.service(kind)

    def on_rollback(self, action: Callable[[], object]) -> None:
        self._home.on_rollback(action)


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


def _formatted(message: str, arguments: tuple[object, ...]) -> str:
    """A trace line must never fail a plug-in, so a template that does not fit is written as it came."""
    if not arguments:
        return message
    try:
        return message.format(*arguments)
    except (IndexError, KeyError, ValueError, AttributeError):
        return f"{message} {arguments!r}"


def _target_columns(context: PluginContext) -> dict[str, Any]:
    target = context.input_parameters.get("Target")
    return dict(target.attributes) if isinstance(target, Entity) else {}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        column: (before.get(column), after.get(column))
        for column in {**before, **after}
        if before.get(column) != after.get(column) or (column in before) != (column in after)
    }
