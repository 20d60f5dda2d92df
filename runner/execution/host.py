"""What a plug-in is given while it runs, wherever that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from azure_bridge.clock import Clock
from azure_bridge.redaction import redact
from runner.execution.deadline import Deadline
from runner.execution.message_service import MessageService, Perform
from runner.execution.step import Step
from runner.plugin import PluginContext
from runner.tracing.model import StepTraced, TraceSink

T = TypeVar("T")


class Platform(Protocol):
    """What the embedded or a remote Dataverse provides to an execution: CRM access, services, undoing."""

    @property
    def clock(self) -> Clock: ...

    @property
    def depth(self) -> int: ...

    def organization_service(self, context: PluginContext, user_id: str | None) -> MessageService: ...

    def service(self, kind: type[T]) -> T:
        """Raises LookupError when there is no such service."""

    def on_rollback(self, action: Callable[[], object]) -> None: ...


class StepHost(Deadline):
    """The ExecutionHost of one run of a step, its deadline, and what is to be told of it afterwards.

    Its :class:`Platform` does what depends on where the step runs. ``duration`` is in seconds; ``error`` is what the
    plug-in raised; ``changes`` (filled only when a sink watches) is what it changed in Target: column -> before, after.
    It does not know the context it serves: the cycle would leave every run to the garbage collector.
    """

    started_on: datetime
    duration = 0.0
    error: Exception | None = None
    changes: Mapping[str, tuple[Any, Any]] = MappingProxyType({})

    def __init__(self, step: Step, platform: Platform, sink: TraceSink | None) -> None:
        # What the deadline's own initializer does; every step makes a host.
        self.seconds = step.timeout
        self.step = step
        self.platform = platform
        self.sink = sink
        self.lines: list[str] = []

    def trace(self, message: str, *arguments: object) -> None:
        line = redact(formatted(message, arguments))
        self.lines.append(line)
        if self.sink is not None:
            at, depth = self.platform.clock.now(), self.platform.depth
            self.sink.record(StepTraced(at=at, step=self.step.name, depth=depth, line=line))

    def organization_service(self, context: PluginContext, user_id: str | None) -> MessageService:
        perform = self.platform.organization_service(context, user_id).perform
        return MessageService(partial(self._shielded, perform))

    def _shielded(self, perform: Perform, message: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the platform does for the plug-in is not cut in half when its time is up."""
        self.shield()
        try:
            return perform(message, parameters)
        finally:
            self.unshield()

    def service(self, kind: type[T]) -> T:
        return self.platform.service(kind)

    def on_rollback(self, action: Callable[[], object]) -> None:
        self.platform.on_rollback(action)


def formatted(message: object, arguments: tuple[object, ...]) -> str:
    """A trace line must never fail a plug-in, so a template that does not fit is written as it came."""
    template = text_of(message)
    if not arguments:
        return template
    try:
        return text_of(template.format(*arguments))
    except Exception:
        return f"{template} {text_of(arguments)}"


def text_of(value: object) -> str:
    """``str(value)``, whatever it is: without halves of surrogate pairs, which nothing could store or send on."""
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if text.isascii() else text.encode(errors="replace").decode()
