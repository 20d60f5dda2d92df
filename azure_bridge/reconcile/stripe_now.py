"""Expresses the present state of Stripe's objects as payment events. Pure.

Stripe keeps events for thirty days but objects for ever. Expressed as events, objects can be applied to a row by the
same status machine, which joins them with what the row already knows.
Source: https://docs.stripe.com/api/events
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from azure_bridge.payment_event import PaymentEvent
from azure_bridge.stripe_events import StripeObject, payment_event
from azure_bridge.tables import PaymentStatus, PaymentTable

_EVENT_TYPES = {
    "succeeded": "payment_intent.succeeded",
    "canceled": "payment_intent.canceled",
    "requires_capture": "payment_intent.amount_capturable_updated",
    "processing": "payment_intent.processing",
    "requires_action": "payment_intent.requires_action",
}
#: The statuses a row may show for each of these events. An intent loses its error with its next update, so a row may
#: still show Failed.
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
    """Whether nothing has been paid on it, so that it can be changed or canceled."""
    return intent.get("status") in _OPEN


def is_canceled(intent: StripeObject) -> bool:
    """Whether it can no longer be paid."""
    return intent.get("status") == "canceled"


def charge_of(intent: StripeObject) -> StripeObject | None:
    """The latest charge, if the intent was read with it expanded."""
    charge = intent.get("latest_charge")
    return charge if isinstance(charge, dict) else None


def last_change(intent: StripeObject) -> int:
    """When the intent last changed, as far as known, in Unix seconds."""
    charge = charge_of(intent) or {}
    return max(int(intent["created"]), intent.get("canceled_at") or 0, charge.get("created") or 0)


def intent_event(intent: StripeObject, tables: Sequence[PaymentTable], now: datetime) -> PaymentEvent:
    """The intent's status as an event, dated when it was paid or canceled, or ``now`` while it is neither."""
    status = str(intent.get("status"))
    unfinished = "payment_failed" if intent.get("last_payment_error") else "created"
    event_type = _EVENT_TYPES.get(status, f"payment_intent.{unfinished}")
    is_final = status in ("succeeded", "canceled")
    return _event(event_type, intent, tables, last_change(intent) if is_final else int(now.timestamp()))


def session_event(session: StripeObject, tables: Sequence[PaymentTable], now: datetime) -> PaymentEvent:
    """The end of a checkout session that is complete or expired, as it is ``now``."""
    ending = "completed" if session.get("status") == "complete" else "expired"
    return _event(f"checkout.session.{ending}", session, tables, int(now.timestamp()))


def charge_event(
    charge: StripeObject, intent: StripeObject, tables: Sequence[PaymentTable], now: datetime
) -> PaymentEvent:
    """What was given back of the charge in all, and what of it was never captured, as it is ``now``."""
    return _event("charge.refunded", _of(intent, charge), tables, int(now.timestamp()))


def refund_event(
    refund: StripeObject, intent: StripeObject, tables: Sequence[PaymentTable], now: datetime
) -> PaymentEvent:
    """The refund as it is ``now``, with its intent's metadata, by which its row is found."""
    return _event("refund.updated", _of(intent, refund), tables, int(now.timestamp()))


def dispute_event(
    dispute: StripeObject, intent: StripeObject, tables: Sequence[PaymentTable], now: datetime
) -> PaymentEvent:
    """The dispute as it is ``now``, with its intent's metadata, by which its row is found."""
    return _event("charge.dispute.updated", _of(intent, dispute), tables, int(now.timestamp()))


def _of(intent: StripeObject, found: StripeObject) -> StripeObject:
    return {**found, "metadata": intent.get("metadata")}


def _event(event_type: str, about: StripeObject, tables: Sequence[PaymentTable], second: int) -> PaymentEvent:
    snapshot: dict[str, Any] = {
        # The same state of the same object gets the same event id in every run.
        "id": f"reconcile_{about['id']}_{second}",
        "type": event_type,
        "created": second,
        "livemode": about.get("livemode"),
        "data": {"object": about},
    }
    event = payment_event(snapshot, tables)
    assert event is not None  # noqa: S101  # intents, refunds and disputes can all be read as events
    return event
