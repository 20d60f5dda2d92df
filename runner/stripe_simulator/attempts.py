"""Attempts to charge an intent, which leads from a payment method to its next status.

    requires_confirmation -> requires_action -> processing -> (requires_capture ->) succeeded
                          \\-> requires_payment_method, when the attempt fails

Source: https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from runner.stripe_simulator import charges, disputes, payment_methods
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.behaviours import AUTHENTICATION_REQUIRED, BANK_REFUSAL, Behaviour, Decline
from runner.stripe_simulator.errors import CardDeclined, StripeRefusal
from runner.stripe_simulator.jsons import JSON, copied

#: An uncaptured authorization expires after this many seconds.
AUTHORIZATION_SECONDS = 7 * 24 * 3600


def attempt(account: Account, intent: JSON, *, on_session: bool, return_url: str | None = None) -> None:
    """Charge the intent's payment method. ``on_session`` tells that the customer is present to authenticate.

    Raises:
      CardDeclined: the payment was declined; the intent now requires another payment method.
    """
    intent |= {"last_payment_error": None, "next_action": None}
    method = _method(account, intent)
    if method["customer"] is None:
        account.hidden(method["id"])["spent"] = True
    if not _behaviour(account, intent).needs_authentication:
        proceed(account, intent)
    elif on_session:
        intent |= {"status": "requires_action", "next_action": _next_action(account, return_url)}
        account.emit("payment_intent.requires_action", intent)
    else:
        charge = charges.refuse(account, intent, method, AUTHENTICATION_REQUIRED)
        raise decline(account, intent, AUTHENTICATION_REQUIRED, charge)


def proceed(account: Account, intent: JSON) -> None:
    """Make the charge, after authentication or where none is needed."""
    method, behaviour = _method(account, intent), _behaviour(account, intent)
    intent["next_action"] = None
    if behaviour.delayed:
        charge = charges.authorize(account, intent, method, status="pending")
        intent["status"] = "processing"
        account.emit("charge.pending", charge)
        account.emit("payment_intent.processing", intent)
    elif behaviour.decline:
        charge = charges.refuse(account, intent, method, behaviour.decline)
        raise decline(account, intent, behaviour.decline, charge)
    else:
        _hold_or_take(account, intent, charges.authorize(account, intent, method))


def refuse_authentication(account: Account, intent: JSON) -> None:
    """Fail the intent without a charge, because the customer failed or canceled 3-D Secure."""
    message = (
        "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
        "PaymentMethod to attempt to fulfill this PaymentIntent again."
    )
    refusal = StripeRefusal(
        402, message, code="payment_intent_authentication_failure", payment_method=_method(account, intent)
    )
    _fail(account, intent, refusal.error)


def settle(account: Account, intent: JSON, succeed: bool | None) -> None:
    """Apply the bank's response to a debit: that of the test method, unless ``succeed`` is given."""
    charge = account.find("charge", intent["latest_charge"])
    scripted = _behaviour(account, intent).decline
    if succeed or (succeed is None and scripted is None):
        receive(account, intent, charge, charge["amount"], "charge.succeeded")
        return
    why = scripted or BANK_REFUSAL
    charges.fail(account, charge, why)
    decline(account, intent, why, charge)


def receive(account: Account, intent: JSON, charge: JSON, amount: int, event_type: str) -> None:
    """Mark charge and intent as paid, and open a dispute if the test method has one."""
    charges.take(account, charge, amount)
    _keep_method(account, intent)
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    account.emit(event_type, charge)
    account.emit("payment_intent.succeeded", intent)
    charges.book(account, charge)
    if reason := _behaviour(account, intent).dispute_reason:
        disputes.open_dispute(account, charge, reason)


def decline(account: Account, intent: JSON, why: Decline, charge: JSON) -> CardDeclined:
    """Fail the attempt. Returns the error, which the caller raises in a request."""
    refusal = CardDeclined(
        why.message,
        code=why.code,
        decline_code=why.decline_code,
        param=why.param,
        charge=charge["id"],
        payment_method=copied(_method(account, intent)),
    )
    _fail(account, intent, refusal.error)
    refusal.error["payment_intent"] = copied(intent)
    return refusal


def _hold_or_take(account: Account, intent: JSON, charge: JSON) -> None:
    options = intent["payment_method_options"].get(charge["payment_method_details"]["type"]) or {}
    if options.get("capture_method", intent["capture_method"]) != "manual":
        receive(account, intent, charge, intent["amount"], "charge.succeeded")
        return
    intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
    account.set_deadline(account.now() + AUTHORIZATION_SECONDS, intent)
    account.emit("charge.succeeded", charge)
    account.emit("payment_intent.amount_capturable_updated", intent)


def _keep_method(account: Account, intent: JSON) -> None:
    """``setup_future_usage`` saves the method with the customer.

    Source: https://docs.stripe.com/payments/save-during-payment
    """
    if intent["setup_future_usage"] and intent["customer"]:
        _method(account, intent)["customer"] = intent["customer"]
        account.hidden(intent["payment_method"])["spent"] = False


def _fail(account: Account, intent: JSON, error: JSON) -> None:
    intent |= {
        "status": "requires_payment_method",
        "last_payment_error": copied(error),
        "next_action": None,
        "payment_method": None,
    }
    account.emit("payment_intent.payment_failed", intent)


def _next_action(account: Account, return_url: str | None) -> JSON:
    challenge = f"https://hooks.stripe.com/3d_secure_2/hosted?payment_attempt={account.ids.new('payatt')}"
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": challenge}}
    return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": challenge}}


def _method(account: Account, intent: JSON) -> JSON:
    return account.find("payment_method", intent["payment_method"])


def _behaviour(account: Account, intent: JSON) -> Behaviour:
    return payment_methods.behaviour_of(account, intent["payment_method"])
