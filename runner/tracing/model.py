"""Trace records: small frozen values, in the order in which things happened.

One record differs from the next in what it is about: a message operation, a step of it, a call to Stripe, an
event on its way back, or a notification from a Dataverse elsewhere. All carry ``at`` (aware UTC); durations are in
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStarted:
    """A message enters the pipeline. ``depth`` 1 is a call from outside."""

    at: datetime
    message: str
    entity: str
    entity_id: str
    depth: int
    correlation_id: str
    operation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFinished:
    """It left the pipeline. ``outcome``: succeeded or failed; at depth 1 the transaction went with it."""

    at: datetime
    message: str
    entity: str
    entity_id: str
    depth: int
    outcome: str
    duration: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    at: datetime
    step: str
    plugin: str
    message: str
    entity: str
    stage: int
    mode: int
    rank: int
    depth: int
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTraced:
    """One line a plug-in traced, at the moment it did."""

    at: datetime
    step: str
    depth: int
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step ended. ``changes``: what it changed in Target, column -> (before, after)."""

    at: datetime
    step: str
    plugin: str
    message: str
    entity: str
    stage: int
    mode: int
    rank: int
    depth: int
    correlation_id: str
    outcome: str
    duration: float
    changes: Mapping[str, tuple[Any, Any]]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensated:
    """An ``on_rollback`` action ran. ``error`` when the undoing itself failed."""

    at: datetime
    depth: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeCalled:
    """One request to Stripe. ``subject`` is the id of the object answered, such as ``pi_...``."""

    at: datetime
    method: str
    path: str
    status: int | None
    request_id: str | None
    duration: float
    subject: str | None = None
    replayed: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTraced:
    """A Stripe event at one station of its way: received, queued, applied, ignored, put off, dead-lettered."""

    at: datetime
    station: str
    event_id: str
    event_type: str
    detail: str = ""
    table: str | None = None
    row_id: str | None = None
    changes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationTraced:
    """What Dataverse told us, at one station of its way: queued, ignored, vetoed, handled, put off, dead-lettered.

    ``source`` is how we came to know: notification, or poll for what was found by looking.
    """

    at: datetime
    station: str
    source: str
    message: str
    entity: str
    entity_id: str
    operation_id: str
    correlation_id: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBack:
    """What a step changed in Target away from the transaction is on the row."""

    at: datetime
    step: str
    entity: str
    entity_id: str
    changes: Mapping[str, Any]


TraceRecord: TypeAlias = (
    OperationStarted
    | OperationFinished
    | StepStarted
    | StepTraced
    | StepFinished
    | Compensated
    | StripeCalled
    | EventTraced
    | NotificationTraced
    | WrittenBack
)


class TraceSink(Protocol):
    """Takes records as they happen. Implementations must be quick and must not raise."""

    def record(self, record: TraceRecord) -> None: ...
