"""What happens to notifications, told to the trace."""

from __future__ import annotations

from azure_bridge.clock import Clock
from dataverse_client.types import EMPTY_GUID
from runner.intake.envelope import Envelope
from runner.plugin import PluginContext
from runner.tracing.model import NotificationTraced, TraceSink

#: The ``InitiatingUserAgent`` of a notification that was made from what polling found.
POLLED = "runner poll"


class Teller:
    """Tells a sink at which station a notification is."""

    def __init__(self, sink: TraceSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    def tell(self, station: str, context: PluginContext | Envelope | None, detail: str = "") -> None:
        """``context`` None is a message that could not be read."""
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
