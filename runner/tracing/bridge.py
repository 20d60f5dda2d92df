"""Records what the bridge's observer is told as trace records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure_bridge.clock import Clock
from azure_bridge.payment_event import PaymentEvent
from runner.tracing.model import EventTraced, TraceSink


class TracingObserver:
    """Implements :class:`azure_bridge.observer.BridgeObserver` on a trace sink."""

    def __init__(self, sink: TraceSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    def received(self, event_id: str, event_type: str, *, note: str = "") -> None:
        self._record("received", event_id, event_type, note)

    def queued(self, event: PaymentEvent) -> None:
        self._record("queued", event.event_id, event.event_type)

    def applied(self, event: PaymentEvent, table: str, row_id: str, changes: Mapping[str, Any]) -> None:
        self._record("applied", event.event_id, event.event_type, table=table, row_id=row_id, changes=changes)

    def ignored(self, event: PaymentEvent, reason: str) -> None:
        self._record("ignored", event.event_id, event.event_type, reason)

    def retry_later(self, event: PaymentEvent, reason: str, *, attempt: int, delay_seconds: float) -> None:
        detail = f"{reason}; attempt {attempt}, again in {delay_seconds:.1f} s"
        self._record("retry later", event.event_id, event.event_type, detail)

    def dead_lettered(self, event: PaymentEvent | None, reason: str, description: str) -> None:
        event_id, event_type = (event.event_id, event.event_type) if event else ("unreadable", "unknown")
        self._record("dead-lettered", event_id, event_type, f"{reason}: {description}")

    def _record(self, station: str, event_id: str, event_type: str, detail: str = "", **facts: Any) -> None:
        self._sink.record(
            EventTraced(
                at=self._clock.now(),
                station=station,
                event_id=event_id,
                event_type=event_type,
                detail=detail,
                **facts,
            )
        )
