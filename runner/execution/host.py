"""The host of a plug-in while it runs: trace, CRM access, services and rollback."""

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
    """What the embedded or a remote Dataverse provides to an execution: CRM access, services and rollback."""

    @property
    def clock(self) -> Clock: ...

    @property
    def depth(self) -> int: ...

    def organization_service(self, context: PluginContext, user_id: str | None) -> MessageService: ...

    def service(self, kind: type[T]) -> T:
        """The service of that type. Raises LookupError when there is none."""

    def on_rollback(self, action: Callable[[], object]) -> None: ...


class StepHost(Deadline):
    """The ExecutionHost of one run of a step, with its deadline and the facts about the run.

    Its :class:`Platform` does what depends on where the step runs. ``duration`` is in seconds; ``error`` is the
    plug-in's exception; ``changes`` (set only if there is a sink) are its changes of Target: column -> before, after.
    It has no reference to the context, as the cycle would leave every run to the garbage collector.
    """

    started_on: datetime
    duration = 0.0
    error: Exception | None = None
    changes: Mapping[str, tuple[Any, Any]] = MappingProxyType({})

    def __init__(self, step: Step, platform: Platform, sink: TraceSink | None) -> None:
        # Instead of super().__init__(), which would cost time in every step.
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
        """Perform a message without being interrupted at the deadline, so that it is not left half done."""
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
    """Format a trace line. A template that does not fit its arguments is written unformatted, not raised."""
    template = text_of(message)
    if not arguments:
        return template
    try:
        return text_of(template.format(*arguments))
    except Exception:
        return f"{template} {text_of(arguments)}"


def text_of(value: object) -> str:
    """``str(value)``, which never raises, without lone surrogates, which could not be stored or sent."""
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if text.isascii() else text.encode(errors="replace").decode()
