"""What Stripe has of an intent now, told as the events that would say it. Pure.

Events are kept for thirty days, objects for ever. Told as events, objects take the same road into a row: the status
machine joins them with whatever the row knows already.
Source: https://docs.stripe.com/api/events
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from azure_bridge.payment_event import PaymentEvent
from azure_bridge.stripe_events import StripeObject, payment_event
from azure_bridge.tables import PaymentStatus, PaymentTable

_TOLD_BY = {
    "succeeded": "payment_intent.succeeded",
    "canceled": "payment_intent.canceled",
    "requires_capture": "payment_intent.amount_capturable_updated",
    "processing": "payment_intent.processing",
    "requires_action": "payment_intent.requires_action",
}
#: Which statuses a row may show while its intent says so. An error on an intent is forgotten with its next update.
AGREEING: Mapping[str, frozenset[PaymentStatus]] = {
    "payment_intent.succeeded": frozenset(
        {
            PaymentStatus.COMPLETED,
            PaymentStatus.PARTIALLY_REFUNDED,
            PaymentStatus.REFUNDED,
            PaymentStatus.DISPUTED,
        }
    ),
    "payment_intent.canceled": frozenset({PaymentStatus.CANCELED}),
    "payment_intent.amount_capturable_updated": frozenset({PaymentStatus.AUTHORIZED}),
    "payment_intent.processing": frozenset({PaymentStatus.PROCESSING}),
    "payment_intent.requires_action": frozenset({PaymentStatus.REQUIRES_ACTION}),
    "payment_intent.payment_failed": frozenset({PaymentStatus.FAILED}),
    "payment_intent.created": frozenset({PaymentStatus.DRAFT, PaymentStatus.PENDING, PaymentStatus.FAILED}),
}
_OPEN = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def is_open(intent: StripeObject) -> bool:
    """Whether nothing was paid on it, so that it can be changed or canceled."""
    return intent.get("status") in _OPEN


def is_canceled(intent: StripeObject) -> bool:
    return intent.get("status") == "canceled"


def charge_of(intent: StripeObject) -> StripeObject | None:
    """The latest charge, where it was asked for with ``expand``."""
    charge = intent.get("latest_charge")
    return charge if isinstance(charge, dict) else None


def last_change(intent: StripeObject) -> int:
    """The latest second at which the intent is known to have changed."""
    charge = charge_of(intent) or {}
    return max(int(intent["created"]), intent.get("canceled_at") or 0, charge.get("created") or 0)


def intent_event(intent: StripeObject, tables: Sequence[PaymentTable], now: datetime) -> PaymentEvent:
    """The intent's status as an event: of the second it was paid or canceled, or of ``now`` while it is open."""
    status = str(intent.get("status"))
    unfinished = "payment_failed" if intent.get("last_payment_error") else "created"
    event_type = _TOLD_BY.get(status, f"payment_intent.{unfinished}")
    is_final = status in ("succeeded", "canceled")
    return _told(event_type, intent, tables, last_change(intent) if is_final else int(now.timestamp()))


def refund_event(
    refund: StripeObject, intent: StripeObject, tables: Sequence[PaymentTable], now: datetime
) -> PaymentEvent:
    """The refund as it is ``now``; its intent's metadata leads to the row."""
    return _told("refund.updated", _of(intent, refund), tables, int(now.timestamp()))


def dispute_event(
    dispute: StripeObject, intent: StripeObject, tables: Sequence[PaymentTable], now: datetime
) -> PaymentEvent:
    """The dispute as it is ``now``."""
    return _told("charge.dispute.updated", _of(intent, dispute), tables, int(now.timestamp()))


def _of(intent: StripeObject, found: StripeObject) -> StripeObject:
    return {**found, "metadata": intent.get("metadata")}


def _told(event_type: str, about: StripeObject, tables: Sequence[PaymentTable], second: int) -> PaymentEvent:
    snapshot: dict[str, Any] = {
        # The same state of the same object is the same event, whoever tells it.
        "id": f"reconcile_{about['id']}_{second}",
        "type": event_type,
        "created": second,
        "livemode": about.get("livemode"),
        "data": {"object": about},
    }
    event = payment_event(snapshot, tables)
    assert event is not None  # noqa: S101  # intents, refunds and disputes all tell of payments
    return event
