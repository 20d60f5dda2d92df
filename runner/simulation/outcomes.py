"""What can become of a payment, and how a test customer brings it about.

Every outcome is played through Stripe's own API with its test payment methods, so it plays the same on the
simulator and in test mode.
Source: https://docs.stripe.com/testing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import stripe

from azure_bridge.tables import PaymentStatus
from runner.simulation.stripe_side import StripeSide, StripeSideError

_RETURN_URL = "https://example.com/thank-you"


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the row says is to be paid: the intent's id, or the checkout session's."""

    stripe: StripeSide
    intent_id: str | None
    session_id: str | None

    def confirm(self, payment_method: str) -> None:
        """Pay with a test payment method; a decline is an answer, not an error."""
        if self.intent_id is None:
            raise StripeSideError("The row carries no intent, so there is nothing to pay")
        params: stripe.params.PaymentIntentConfirmParams = {
            "payment_method": payment_method,
            "return_url": _RETURN_URL,
        }
        if payment_method.startswith("pm_usBankAccount"):
            params["mandate_data"] = {"customer_acceptance": {"type": "offline"}}
        try:
            self.stripe.client.v1.payment_intents.confirm(self.intent_id, params)
        except stripe.CardError:
            return

    def cancel(self) -> None:
        self.stripe.client.v1.payment_intents.cancel(self.intent_id or "", {"cancellation_reason": "abandoned"})

    def refund(self, share: int) -> None:
        """Give back one ``share``-th of the amount."""
        intent = self.stripe.client.v1.payment_intents.retrieve(self.intent_id or "")
        amount = intent.amount // share
        self.stripe.client.v1.refunds.create({"payment_intent": intent.id, "amount": amount})

    def check_out(self) -> None:
        self.stripe.complete_checkout(self.session_id or "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """``play`` brings it about; ``awaited`` are the events that tell; ``status`` is how the row must end."""

    status: PaymentStatus
    play: Callable[[Purchase], None]
    awaited: tuple[str, ...] = ()
    collect: str = "intent"


def _fail_then_succeed(purchase: Purchase) -> None:
    purchase.confirm("pm_card_visa_chargeDeclined")
    purchase.confirm("pm_card_visa")


def _refund(share: int) -> Callable[[Purchase], None]:
    def play(purchase: Purchase) -> None:
        purchase.confirm("pm_card_visa")
        purchase.refund(share)

    return play


def _with_card(payment_method: str) -> Callable[[Purchase], None]:
    return lambda purchase: purchase.confirm(payment_method)


OUTCOMES: Mapping[str, Outcome] = {
    "succeeded": Outcome(PaymentStatus.COMPLETED, _with_card("pm_card_visa"), ("payment_intent.succeeded",)),
    "failed": Outcome(
        PaymentStatus.FAILED, _with_card("pm_card_visa_chargeDeclined"), ("payment_intent.payment_failed",)
    ),
    "failed-then-succeeded": Outcome(
        PaymentStatus.COMPLETED, _fail_then_succeed, ("payment_intent.payment_failed", "payment_intent.succeeded")
    ),
    "requires-action": Outcome(
        PaymentStatus.REQUIRES_ACTION,
        _with_card("pm_card_threeDSecure2Required"),
        ("payment_intent.requires_action",),
    ),
    "processing": Outcome(
        PaymentStatus.PROCESSING, _with_card("pm_usBankAccount_success"), ("payment_intent.processing",)
    ),
    "canceled": Outcome(PaymentStatus.CANCELED, Purchase.cancel, ("payment_intent.canceled",)),
    "refunded": Outcome(PaymentStatus.REFUNDED, _refund(1), ("payment_intent.succeeded", "charge.refunded")),
    "partially-refunded": Outcome(
        PaymentStatus.PARTIALLY_REFUNDED, _refund(2), ("payment_intent.succeeded", "charge.refunded")
    ),
    "disputed": Outcome(
        PaymentStatus.DISPUTED,
        _with_card("pm_card_createDispute"),
        ("payment_intent.succeeded", "charge.dispute.created"),
    ),
    "checkout": Outcome(
        PaymentStatus.COMPLETED, Purchase.check_out, ("checkout.session.completed",), collect="checkout"
    ),
    "none": Outcome(PaymentStatus.PENDING, lambda purchase: None),
}
