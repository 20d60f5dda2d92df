"""What the bridge tells whoever watches it. ``runner.tracing`` is one watcher; silence is another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from azure_bridge.payment_event import PaymentEvent


class BridgeObserver(Protocol):
    """One call per thing that happened to an event. Implementations must not raise."""

    def received(self, event_id: str, event_type: str, *, note: str = "") -> None:
        """A signed event was verified; ``note`` says why when it goes no further."""

    def queued(self, event: PaymentEvent) -> None: ...

    def applied(self, event: PaymentEvent, table: str, row_id: str, changes: Mapping[str, Any]) -> None:
        """The row was changed; ``changes`` are the columns written."""

    def ignored(self, event: PaymentEvent, reason: str) -> None:
        """Nothing to do: the row is already further, or the event is another organization's."""

    def put_off(self, event: PaymentEvent, reason: str, *, attempt: int, delay_seconds: float) -> None: ...

    def dead_lettered(self, event: PaymentEvent | None, reason: str, description: str) -> None: ...


class SilentObserver:
    """Watches nothing."""

    def received(self, event_id: str, event_type: str, *, note: str = "") -> None: ...
    def queued(self, event: PaymentEvent) -> None: ...
    def applied(self, event: PaymentEvent, table: str, row_id: str, changes: Mapping[str, Any]) -> None: ...
    def ignored(self, event: PaymentEvent, reason: str) -> None: ...
    def put_off(self, event: PaymentEvent, reason: str, *, attempt: int, delay_seconds: float) -> None: ...
    def dead_lettered(self, event: PaymentEvent | None, reason: str, description: str) -> None: ...
