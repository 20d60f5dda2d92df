"""What a plug-in is given while it runs, wherever that is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from azure_bridge.clock import Clock
from azure_bridge.redaction import redact
from dataverse_client.types import OrganizationRequest, OrganizationResponse, OrganizationService
from runner.execution.deadline import Deadline
from runner.execution.service import MessageService
from runner.execution.step import Step
from runner.plugin import PluginContext
from runner.tracing.model import StepTraced, TraceSink

T = TypeVar("T")


class Home(Protocol):
    """What surrounds an execution and differs from place to place: CRM access, services, undoing."""

    @property
    def clock(self) -> Clock: ...

    @property
    def depth(self) -> int: ...

    def organization_service(self, context: PluginContext, user_id: str | None) -> OrganizationService: ...

    def service(self, kind: type[T]) -> T:
        """Raises LookupError when there is no such service."""

    def on_rollback(self, action: Callable[[], object]) -> None: ...


class StepHost:
    """The ExecutionHost of one execution: what differs from home to home it leaves to its :class:`Home`."""

    __slots__ = ("deadline", "home", "lines", "sink", "step")

    def __init__(self, step: Step, home: Home, sink: TraceSink | None) -> None:
        self.step = step
        self.home = home
        self.sink = sink
        self.lines: list[str] = []
        self.deadline = Deadline(step.timeout)

    def trace(self, message: str, *arguments: object) -> None:
        line = redact(formatted(message, arguments))
        self.lines.append(line)
        if self.sink is not None:
            at, depth = self.home.clock.now(), self.home.depth
            self.sink.record(StepTraced(at=at, step=self.step.name, depth=depth, line=line))

    def organization_service(self, context: PluginContext, user_id: str | None) -> OrganizationService:
        execute = self.home.organization_service(context, user_id).execute
        return MessageService(partial(self._shielded, execute))

    def _shielded(
        self, execute: Callable[[OrganizationRequest], OrganizationResponse], request: OrganizationRequest
    ) -> OrganizationResponse:
        """What the platform does for the plug-in is not cut in half when its time is up."""
        self.deadline.shield()
        try:
            return execute(request)
        finally:
            self.deadline.unshield()

    def service(self, kind: type[T]) -> T:
        return self.home.service(kind)

    def on_rollback(self, action: Callable[[], object]) -> None:
        self.home.on_rollback(action)


def formatted(message: str, arguments: tuple[object, ...]) -> str:
    """A trace line must never fail a plug-in, so a template that does not fit is written as it came."""
    if not arguments:
        return message
    try:
        return message.format(*arguments)
    except (IndexError, KeyError, ValueError, AttributeError):
        return f"{message} {arguments!r}"
