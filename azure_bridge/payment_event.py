"""PaymentEvent: the small message that travels from the receiver to the processor.

It holds what the CRM side needs of a Stripe event and nothing more: no card, no customer, no client secret.
Bodies are JSON, versioned, and stay well under 4 KB.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFact:
    """One refund as its event saw it. ``status``: pending, requires_action, succeeded, failed, canceled."""

    refund_id: str
    status: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFact:
    """One dispute as its event saw it. ``status`` is Stripe's: needs_response, under_review, won, lost ..."""

    dispute_id: str
    status: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """What became of the money, in Stripe's words. Amounts are integers in the currency's minor units.

    ``row_table`` and ``row_id`` come from the intent's or session's metadata and name the CRM row; refunds,
    disputes and foreign intents carry none and are found by ``intent_id``.
    Source: https://docs.stripe.com/api/events/object
    """

    event_id: str
    event_type: str
    created: datetime
    livemode: bool
    object_id: str
    intent_id: str | None = None
    checkout_session_id: str | None = None
    #: The intent's or session's own status, as the event saw it.
    status: str | None = None
    #: A checkout session's ``payment_status``: paid, unpaid, no_payment_required.
    payment_status: str | None = None
    currency: str | None = None
    amount: int | None = None
    amount_received: int | None = None
    #: ``charge.refunded`` only: all that was refunded of the charge so far.
    amount_refunded: int | None = None
    failure_code: str | None = None
    decline_code: str | None = None
    failure_message: str | None = None
    cancellation_reason: str | None = None
    refund: RefundFact | None = None
    dispute: DisputeFact | None = None
    organization_id: str | None = None
    row_table: str | None = None
    row_id: str | None = None
    sales_order_id: str | None = None
    correlation_id: str | None = None
    version: int = VERSION
