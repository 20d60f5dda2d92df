"""Writes what happens to a notification to the trace."""

from __future__ import annotations

from azure_bridge.clock import Clock
from dataverse_client.types import EMPTY_GUID
from runner.intake.envelope import Envelope
from runner.plugin import PluginContext
from runner.tracing.model import NotificationTraced, TraceSink

#: The ``InitiatingUserAgent`` of a notification that polling made.
POLLED = "runner poll"


class NotificationTrace:
    """Records each station: queued, ignored, answered, vetoed, handled, retry later, dead-lettered."""

    def __init__(self, sink: TraceSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    def record(self, station: str, context: PluginContext | Envelope | None, detail: str = "") -> None:
        """Record that a notification reached ``station``. ``context`` is None for a message that cannot be read."""
        self._sink.record(
            NotificationTraced(
                at=self._clock.now(),
                station=station,
                source="poll" if context and context.initiating_user_agent == POLLED else "notification",
                message=context.message_name if context else "unreadable",
                entity=context.primary_entity_name if context else "none",
                entity_id=context.primary_entity_id if context else EMPTY_GUID,
                operation_id=context.operation_id if context else EMPTY_GUID,
                correlation_id=context.correlation_id if context else EMPTY_GUID,
                detail=detail,
            )
        )
