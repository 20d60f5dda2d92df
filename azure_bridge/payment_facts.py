"""Turns one event into a ledger, which is then joined with the row's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from azure_bridge.ledger import BY_SESSION, FINAL, NAMED, NEVER, PAID, Ledger, lifecycle
from azure_bridge.minor_units import from_minor_units
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.tables import PaymentStatus

_TOLD_BY: Mapping[str, PaymentStatus] = {
    "payment_intent.created": PaymentStatus.PENDING,
    "payment_intent.partially_funded": PaymentStatus.PENDING,
    "payment_intent.requires_action": PaymentStatus.REQUIRES_ACTION,
    "payment_intent.processing": PaymentStatus.PROCESSING,
    "payment_intent.payment_failed": PaymentStatus.FAILED,
    "payment_intent.amount_capturable_updated": PaymentStatus.AUTHORIZED,
    "payment_intent.succeeded": PaymentStatus.COMPLETED,
    "payment_intent.canceled": PaymentStatus.CANCELED,
    "checkout.session.async_payment_succeeded": PaymentStatus.COMPLETED,
    "checkout.session.async_payment_failed": PaymentStatus.FAILED,
    "checkout.session.expired": PaymentStatus.CANCELED,
}

#: An unknown status has rank 0. A refund can fail after it succeeded, so failed has the highest rank.
_REFUND_RANKS = {"pending": 1, "requires_action": 2, "succeeded": 3, "failed": 4, "canceled": 4}
#: An inquiry (``warning_``) may become a dispute; a dispute never becomes an inquiry again.
_DISPUTE_ORDER = (
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "charge_refunded",
    "prevented",
    "won",
    "lost",
)
_DISPUTE_RANKS = {status: rank for rank, status in enumerate(_DISPUTE_ORDER, start=1)}

#: Orders refunds and disputes after the payment's own events of the same second.
_AFTER_PAYMENT = (FINAL + 1, 0, 0)

#: An intent or a charge has the amount received; a session only the amount asked for, perhaps in another currency.
ASKED, RECEIVED = 1, 2


def ledger_of_event(event: PaymentEvent) -> Ledger:
    """The ledger that holds what this one event reports.

    Raises:
      UnsupportedCurrencyError: the event's amounts are in a currency that cannot be converted.
    """
    second, status = int(event.created.timestamp()), reported_status(event)
    is_paid = status is PaymentStatus.COMPLETED
    tier, _, rank = lifecycle(status, second) if status else _AFTER_PAYMENT
    return Ledger(
        lifecycle=lifecycle(status, second) if status else lifecycle(PaymentStatus.DRAFT, 0),
        intent=_intent(event, second, is_paid),
        session=(second, event.event_id, event.checkout_session_id) if event.checkout_session_id else (0, "", ""),
        failure=_failure(event, second),
        received=_received(event, is_paid),
        paid_at=second if is_paid else NEVER,
        released=_released(event),
        refunded=_money(event.amount_refunded, event),
        refunds=_refund(event),
        disputes=_dispute(event),
        last=(second, tier, rank, event.event_id, event.event_type),
    )


def reported_status(event: PaymentEvent) -> PaymentStatus | None:
    """The payment status an event reports; None for an event about a refund or a dispute.

    A completed checkout is not always paid: bank debits succeed or fail later.
    Source: https://docs.stripe.com/checkout/fulfillment
    """
    if event.event_type == "checkout.session.completed":
        is_paid = event.payment_status in ("paid", "no_payment_required")
        return PaymentStatus.COMPLETED if is_paid else PaymentStatus.PROCESSING
    return _TOLD_BY.get(event.event_type)


def moves_money(event: PaymentEvent) -> bool:
    """Whether the event reports a payment, a refund or a dispute."""
    is_paid = reported_status(event) is PaymentStatus.COMPLETED
    return is_paid or bool(event.amount_refunded) or event.refund is not None or event.dispute is not None


def _intent(event: PaymentEvent, second: int, is_paid: bool) -> tuple[int, int, str, str]:
    if not event.intent_id:
        return 0, 0, "", ""
    strength = PAID if is_paid else BY_SESSION if event.checkout_session_id else NAMED
    return strength, second, event.event_id, event.intent_id


def _failure(event: PaymentEvent, second: int) -> tuple[int, str, str, str]:
    # Events of a session report that its payment failed, but not why; the intent's own event does.
    if event.event_type != "payment_intent.payment_failed":
        return 0, "", "", ""
    return second, event.event_id, event.failure_code or event.decline_code or "", event.failure_message or ""


def _received(event: PaymentEvent, is_paid: bool) -> tuple[int, Decimal]:
    if event.amount_received:
        return RECEIVED, _money(event.amount_received, event)
    return (ASKED, _money(event.amount, event)) if is_paid else (0, Decimal(0))


def _released(event: PaymentEvent) -> Decimal:
    if event.amount_refunded is None or event.amount_received is None or event.amount is None:
        return Decimal(0)
    return _money(max(0, event.amount - event.amount_received), event)


def _refund(event: PaymentEvent) -> dict[str, tuple[int, str, Decimal]]:
    fact = event.refund
    if fact is None:
        return {}
    return {fact.refund_id: (_REFUND_RANKS.get(fact.status, 0), fact.status, _money(fact.amount, event))}


def _dispute(event: PaymentEvent) -> dict[str, tuple[int, str]]:
    fact = event.dispute
    return {fact.dispute_id: (_DISPUTE_RANKS.get(fact.status, 0), fact.status)} if fact else {}


def _money(units: int | None, event: PaymentEvent) -> Decimal:
    return from_minor_units(units, event.currency or "") if units else Decimal(0)
