"""Charges: one for each attempt to pay, with its captured and refunded amounts."""

from __future__ import annotations

from runner.stripe_simulator import objects
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.behaviours import Decline
from runner.stripe_simulator.jsons import JSON, copied


def authorize(account: Account, intent: JSON, method: JSON, *, status: str = "succeeded") -> JSON:
    """Authorize the amount. ``status`` is ``pending`` while a bank's response is outstanding."""
    charge = account.add(objects.charge(account, intent, method))
    charge |= {"status": status, "paid": status == "succeeded"}
    intent["latest_charge"] = charge["id"]
    return charge


def refuse(account: Account, intent: JSON, method: JSON, decline: Decline) -> JSON:
    charge = authorize(account, intent, method)
    fail(account, charge, decline)
    return charge


def fail(account: Account, charge: JSON, decline: Decline) -> None:
    charge |= {
        "status": "failed",
        "paid": False,
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": objects.outcome(
            "declined_by_network",
            "issuer_declined",
            "The bank did not return any further details with this decline.",
            decline.decline_code,
        ),
    }
    account.emit("charge.failed", charge)


def take(account: Account, charge: JSON, amount: int) -> None:
    """Capture ``amount``. The rest of the authorized amount is released and counts as refunded."""
    released = charge["amount"] - amount
    charge |= {"captured": True, "amount_captured": amount, "status": "succeeded", "paid": True}
    charge["amount_refunded"] += released
    if released:
        account.add(objects.refund(account, charge, released))


def release(account: Account, charge: JSON) -> None:
    """Release an authorized amount that was not captured, which refunds the charge.

    Source: https://docs.stripe.com/refunds#cancel-payment
    """
    before = copied(charge)
    charge |= {"amount_refunded": charge["amount"], "refunded": True}
    account.add(objects.refund(account, charge, charge["amount"]))
    account.emit("charge.refunded", charge, before)


def book(account: Account, charge: JSON) -> None:
    """Book the charge on the balance. That follows the response, so ``charge.succeeded`` does not include it.

    Source: https://docs.stripe.com/payments/payment-intents/asynchronous-capture
    """
    before = copied(charge)
    booked = account.add(objects.balance_transaction(account, charge, "charge", charge["amount_captured"]))
    charge |= {"balance_transaction": booked["id"], "receipt_url": f"https://pay.stripe.com/receipts/{charge['id']}"}
    account.emit("charge.updated", charge, before)
