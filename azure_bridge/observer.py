"""The observer of the bridge, which is called for everything that happens to an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from azure_bridge.payment_event import PaymentEvent


class BridgeObserver(Protocol):
    """Is called once for each thing that happens to an event. Implementations must not raise."""

    def received(self, event_id: str, event_type: str, *, note: str = "") -> None:
        """A signed event was verified. ``note`` says why, if it is ignored."""

    def queued(self, event: PaymentEvent) -> None:
        """The event is stored on the queue."""

    def applied(self, event: PaymentEvent, table: str, row_id: str, changes: Mapping[str, Any]) -> None:
        """The row was changed; ``changes`` are the columns written."""

    def ignored(self, event: PaymentEvent, reason: str) -> None:
        """Nothing was to be done: the row is already further, or the event is another organization's."""

    def retry_later(self, event: PaymentEvent, reason: str, *, attempt: int, delay_seconds: float) -> None:
        """The event is retried later. ``attempt`` counts from 0."""

    def dead_lettered(self, event: PaymentEvent | None, reason: str, description: str) -> None:
        """The event was set aside for a person; None when its message could not be read."""


class SilentObserver:
    """An observer that does nothing."""

    def received(self, event_id: str, event_type: str, *, note: str = "") -> None: ...
    def queued(self, event: PaymentEvent) -> None: ...
    def applied(self, event: PaymentEvent, table: str, row_id: str, changes: Mapping[str, Any]) -> None: ...
    def ignored(self, event: PaymentEvent, reason: str) -> None: ...
    def retry_later(self, event: PaymentEvent, reason: str, *, attempt: int, delay_seconds: float) -> None: ...
    def dead_lettered(self, event: PaymentEvent | None, reason: str, description: str) -> None: ...
