"""Compares Stripe's events with the rows they should have been applied to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azure_bridge.crm_rows import CrmClient, PaymentRow, find_rows
from azure_bridge.minor_units import AmountError
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.payment_status import changes
from azure_bridge.reconcile.differences import ApplyEvents, Difference, Kind
from azure_bridge.sales_orders import SalesOrders
from azure_bridge.stripe_events import check_snapshot, payment_event
from azure_bridge.tables import BridgeConfiguration


class EventComparison:
    """Finds events that were not applied to their rows. Read-only."""

    def __init__(self, client: CrmClient, configuration: BridgeConfiguration) -> None:
        self._client = client
        self._configuration = configuration
        self._orders = SalesOrders(client, configuration)

    def compare(self, snapshots: Sequence[Mapping[str, Any]]) -> list[Difference]:
        """A difference for each of these events that was not applied, found with one query per table.

        Raises:
          DataverseError: a query failed.
          EventUnreadableError: Stripe listed something that is not a snapshot event.
        """
        events = [(event, snapshot) for snapshot in snapshots if (event := self._ours(snapshot))]
        rows = find_rows(self._client, [event for event, _ in events], self._configuration.tables)
        missing = []
        for (event, snapshot), row in zip(events, rows, strict=True):
            detail = self._missing(event, row)
            if detail:
                missing.append(
                    _difference(event, row, f"{event.event_type} {event.event_id} {_delivery(snapshot)}, {detail}")
                )
        return missing

    def _ours(self, snapshot: Mapping[str, Any]) -> PaymentEvent | None:
        if snapshot["type"] not in self._configuration.events:
            return None
        event = payment_event(check_snapshot(snapshot), self._configuration.tables)
        return None if event is None or self._configuration.is_foreign(event.organization_id) else event

    def _missing(self, event: PaymentEvent, row: PaymentRow | None) -> str:
        """What the event should have changed and did not; empty when it was applied or concerns no row of ours."""
        if row is None:
            table = self._orders.table_for(event)
            return f"and no {table.logical_name} was made for it" if table else ""
        try:
            added = changes(row.entity, event, row.table) or {}
        except AmountError as error:
            return str(error)
        return "and the row does not know of it" if row.table.columns.ledger in added else ""


def _delivery(snapshot: Mapping[str, Any]) -> str:
    return "is not delivered yet" if snapshot.get("pending_webhooks") else "was delivered"


def _difference(event: PaymentEvent, row: PaymentRow | None, detail: str) -> Difference:
    return Difference(
        kind=Kind.EVENT_MISSING,
        table=row.table.logical_name if row else None,
        row_id=row.entity.id if row else None,
        intent_id=event.intent_id,
        detail=detail,
        remedy=ApplyEvents((event,)),
    )
