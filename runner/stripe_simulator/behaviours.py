"""Stripe's test payment methods, and the result of a payment with each.

Source: https://docs.stripe.com/testing
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GENERIC = "Your card was declined."


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a charge is declined, in Stripe's words. ``param`` names the card detail that is wrong, if any."""

    code: str
    decline_code: str
    message: str = GENERIC
    param: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """The result of a payment with the method ``id``. ``delayed`` means that the bank responds later."""

    id: str
    type: Literal["card", "us_bank_account"] = "card"
    brand: str = "visa"
    last4: str = "4242"
    decline: Decline | None = None
    delayed: bool = False
    needs_authentication: bool = False
    dispute_reason: str | None = None
    refund: Literal["succeeds", "fails later", "pending"] = "succeeds"


AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)


_BANK_MESSAGE = "The customer's bank account could not be debited."
BANK_REFUSAL = Decline("payment_intent_payment_attempt_failed", "generic_decline", _BANK_MESSAGE)


def _declined(name: str, last4: str, decline: Decline) -> Behaviour:
    return Behaviour(id=name, last4=last4, decline=decline)


def _debit(name: str, last4: str, decline_code: str | None = None, dispute: str | None = None) -> Behaviour:
    decline = Decline("payment_intent_payment_attempt_failed", decline_code, _BANK_MESSAGE) if decline_code else None
    return Behaviour(
        id=name, type="us_bank_account", last4=last4, decline=decline, delayed=True, dispute_reason=dispute
    )


_GENERIC_DECLINE = Decline("card_declined", "generic_decline")
_INSUFFICIENT = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
_LOST, _STOLEN = Decline("card_declined", "lost_card"), Decline("card_declined", "stolen_card")
_EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.", "exp_month")
_CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "cvc")
_PROCESSING = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)
_VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
)

TEST_METHODS = {
    method.id: method
    for method in (
        Behaviour(id="pm_card_visa"),
        Behaviour(id="pm_card_visa_debit", last4="5556"),
        Behaviour(id="pm_card_mastercard", brand="mastercard", last4="4444"),
        Behaviour(id="pm_card_amex", brand="amex", last4="8431"),
        _declined("pm_card_chargeDeclined", "0002", _GENERIC_DECLINE),
        _declined("pm_card_visa_chargeDeclined", "0002", _GENERIC_DECLINE),
        _declined("pm_card_chargeDeclinedInsufficientFunds", "9995", _INSUFFICIENT),
        _declined("pm_card_visa_chargeDeclinedInsufficientFunds", "9995", _INSUFFICIENT),
        _declined("pm_card_visa_chargeDeclinedLostCard", "9987", _LOST),
        _declined("pm_card_visa_chargeDeclinedStolenCard", "9979", _STOLEN),
        _declined("pm_card_chargeDeclinedExpiredCard", "0069", _EXPIRED),
        _declined("pm_card_chargeDeclinedIncorrectCvc", "0127", _CVC),
        _declined("pm_card_chargeDeclinedProcessingError", "0119", _PROCESSING),
        _declined("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "6975", _VELOCITY),
        _declined("pm_card_chargeCustomerFail", "0341", _GENERIC_DECLINE),
        Behaviour(id="pm_card_authenticationRequired", last4="3184", needs_authentication=True),
        Behaviour(id="pm_card_threeDSecure2Required", last4="3220", needs_authentication=True),
        Behaviour(id="pm_card_threeDSecureRequired", last4="3063", needs_authentication=True),
        Behaviour(id="pm_card_threeDSecureOptional", last4="3055"),
        Behaviour(id="pm_card_createDispute", last4="0259", dispute_reason="fraudulent"),
        Behaviour(id="pm_card_createDisputeProductNotReceived", last4="2685", dispute_reason="product_not_received"),
        Behaviour(id="pm_card_pendingRefund", last4="7726", refund="pending"),
        Behaviour(id="pm_card_refundFail", last4="5126", refund="fails later"),
        _debit("pm_usBankAccount_success", "6789"),
        _debit("pm_usBankAccount_accountClosed", "1113", "account_closed"),
        _debit("pm_usBankAccount_noAccount", "1116", "no_account"),
        _debit("pm_usBankAccount_insufficientFunds", "2227", "insufficient_funds"),
        _debit("pm_usBankAccount_debitNotAuthorized", "3335", "debit_not_authorized"),
        _debit("pm_usBankAccount_dispute", "7779", dispute="bank_cannot_process"),
    )
}
