"""The Stripe event types that the bridge applies, and the misspellings people use for them.

Source: https://docs.stripe.com/api/events/types
"""

from __future__ import annotations

from runner.registrations.problems import nearest

PAYMENT_EVENT_TYPES = (
    "payment_intent.created",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "payment_intent.partially_funded",
    "payment_intent.amount_capturable_updated",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.refund.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)

#: Names that tutorials made up, and neighbours of an event that say the same thing.
_MEANT = {
    "payment_intent.failed": "payment_intent.payment_failed",
    "payment_intent.failure": "payment_intent.payment_failed",
    "payment_intent.success": "payment_intent.succeeded",
    "payment_intent.completed": "payment_intent.succeeded",
    "payment_intent.cancelled": "payment_intent.canceled",
    "payment.succeeded": "payment_intent.succeeded",
    "payment.failed": "payment_intent.payment_failed",
    "charge.succeeded": "payment_intent.succeeded",
    "charge.failed": "payment_intent.payment_failed",
    "charge.captured": "payment_intent.succeeded",
    "charge.refund.created": "refund.created",
    "charge.disputed": "charge.dispute.created",
    "checkout.session.succeeded": "checkout.session.completed",
    "checkout.session.paid": "checkout.session.completed",
    "checkout.completed": "checkout.session.completed",
}


def meant_event(name: str) -> str | None:
    """The event type somebody most likely means by a name that is none."""
    return _MEANT.get(name.casefold()) or nearest(name, PAYMENT_EVENT_TYPES)
