"""Trace records: small frozen values, in the order in which things happened.

There is one class for each thing that can happen: to a message operation, a step, a request to Stripe, a Stripe event,
or a notification of a remote Dataverse. All have ``at`` (aware UTC); durations are in seconds.
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
    """An operation left the pipeline. ``outcome`` is succeeded or failed; at depth 1 its transaction ended as well."""

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
    """A step begins to run. ``mode`` is 0 for synchronous, 1 for asynchronous."""

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
    """A plug-in traced a line."""

    at: datetime
    step: str
    depth: int
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step ended. ``changes`` has what it changed in Target: the value before and after, by column."""

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
    """An ``on_rollback`` action ran; ``error`` is set when it failed."""

    at: datetime
    depth: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeCalled:
    """One request to Stripe. ``subject`` is the id of the object in the answer, such as ``pi_...``."""

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
    """A Stripe event reached a station: received, queued, applied, ignored, retry later, dead-lettered."""

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
    """A notification of Dataverse reached a station: queued, ignored, answered, vetoed, handled, retry later,
    dead-lettered.

    ``source`` is ``notification``, or ``poll`` for a change that polling found.
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
    """The changes that a step made to Target outside the transaction were written to the row."""

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
    """Receives records as things happen. Implementations must be quick and must not raise."""

    def record(self, record: TraceRecord) -> None: ...
