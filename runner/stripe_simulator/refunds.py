"""The endpoints of refunds: full or partial ones, which can fail even after they succeeded.

Source: https://docs.stripe.com/api/refunds
"""

from __future__ import annotations

from runner.stripe_simulator import objects, payment_methods
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import invalid
from runner.stripe_simulator.jsons import JSON, copied
from runner.stripe_simulator.limits import check_metadata, merge_metadata


def check_create(params: JSON) -> None:
    check_metadata(params.get("metadata"))
    if ("charge" in params) == ("payment_intent" in params):
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")


def create(account: Account, params: JSON) -> JSON:
    charge = _charge_to_refund(account, params)
    amount = _amount_to_refund(charge, params)
    refund = account.add(objects.refund(account, charge, amount))
    refund["reason"] = params.get("reason")
    refund["metadata"] = merge_metadata({}, params.get("metadata"))
    if payment_methods.behaviour_of(account, charge["payment_method"]).refund == "pending":
        refund["status"] = "pending"
    before = copied(charge)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    _book(account, refund, "refund", -amount)
    account.emit("refund.created", refund)
    account.emit("charge.refunded", charge, before)
    return refund


def update(account: Account, params: JSON, refund_id: str) -> JSON:
    refund = account.find("refund", refund_id)
    before = copied(refund)
    refund["metadata"] = merge_metadata(refund["metadata"], params.get("metadata"))
    _announce(account, refund, before)
    return refund


def cancel(account: Account, params: JSON, refund_id: str) -> JSON:
    refund = account.find("refund", refund_id)
    if refund["status"] != "requires_action":
        raise invalid(f"Only refunds that require action can be canceled; this one has the status {refund['status']}.")
    before = copied(refund)
    refund["status"] = "canceled"
    _take_back(account, refund)
    _announce(account, refund, before)
    return refund


def settle(account: Account, refund: JSON, succeed: bool | None) -> None:
    """Apply the bank's response: that of the test method, unless ``succeed`` is given."""
    charge = account.find("charge", refund["charge"])
    if succeed is None:
        succeed = payment_methods.behaviour_of(account, charge["payment_method"]).refund != "fails later"
    before = copied(refund)
    if succeed:
        refund["status"] = "succeeded"
    else:
        _fail(account, refund)
    _announce(account, refund, before)
    if not succeed:
        account.emit("refund.failed", refund, before)


def _fail(account: Account, refund: JSON) -> None:
    """Source: https://docs.stripe.com/refunds#failed-refunds"""
    refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    booked = account.add(objects.balance_transaction(account, refund, "refund_failure", refund["amount"]))
    refund["failure_balance_transaction"] = booked["id"]
    _take_back(account, refund)


def _charge_to_refund(account: Account, params: JSON) -> JSON:
    charge_id = params.get("charge")
    if intent_id := params.get("payment_intent"):
        charge_id = account.find("payment_intent", intent_id, "payment_intent")["latest_charge"]
        if charge_id is None or account.find("charge", charge_id)["status"] != "succeeded":
            raise invalid(f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.")
    charge = account.find("charge", str(charge_id), "charge")
    _require_refundable(account, charge)
    return charge


def _require_refundable(account: Account, charge: JSON) -> None:
    if charge["refunded"]:
        message = f"Charge {charge['id']} has already been refunded."
        raise invalid(message, code="charge_already_refunded")
    if charge["status"] != "succeeded" or not charge["captured"]:
        message = f"Charge {charge['id']} has not been captured: cancel its PaymentIntent instead of refunding it."
        raise invalid(message, code="charge_not_refundable")
    disputes = [d for d in account.all("dispute") if d["charge"] == charge["id"]]
    if any(not dispute["is_charge_refundable"] and dispute["status"] != "won" for dispute in disputes):
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")


def _amount_to_refund(charge: JSON, params: JSON) -> int:
    left: int = charge["amount"] - charge["amount_refunded"]
    amount: int = params.get("amount", left)
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise invalid(message, param="amount")
    return amount


def _take_back(account: Account, refund: JSON) -> None:
    """Undo the refund of the charge, because the money did not reach the customer."""
    charge = account.find("charge", refund["charge"])
    before = copied(charge)
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    account.emit("charge.updated", charge, before)


def _book(account: Account, refund: JSON, kind: str, amount: int) -> None:
    refund["balance_transaction"] = account.add(objects.balance_transaction(account, refund, kind, amount))["id"]


def _announce(account: Account, refund: JSON, before: JSON) -> None:
    """Emit both events of an update; ``charge.refund.updated`` is the older one."""
    account.emit("refund.updated", refund, before)
    account.emit("charge.refund.updated", refund, before)
