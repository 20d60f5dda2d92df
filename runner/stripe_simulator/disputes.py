"""Disputes: a customer demands a charge back from the bank, and the bank decides.

Source: https://docs.stripe.com/api/disputes
"""

from __future__ import annotations

from runner.stripe_simulator import objects
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import invalid, missing_resource
from runner.stripe_simulator.jsons import JSON, copied
from runner.stripe_simulator.limits import merge_metadata

OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")


def open_dispute(account: Account, charge: JSON, reason: str, status: str = "needs_response") -> JSON:
    """Open a dispute. With ``status`` warning_needs_response it is an inquiry, which withdraws no money."""
    dispute = account.add(objects.dispute(account, charge, reason, status))
    charge["disputed"] = True
    account.emit("charge.dispute.created", dispute)
    if not _is_inquiry(dispute):
        _move_funds(account, dispute, -dispute["amount"], "charge.dispute.funds_withdrawn")
    return dispute


def find_open(account: Account, any_id: str) -> JSON:
    """The open dispute with the id of a dispute, charge or intent.

    Raises:
      StripeRefusal: 404, there is no such dispute.
    """
    for dispute in account.all("dispute"):
        if any_id in (dispute["id"], dispute["charge"], dispute["payment_intent"]) and dispute["status"] in OPEN:
            return account.find("dispute", dispute["id"])
    raise missing_resource("dispute", any_id, "dispute")


def close_dispute(account: Account, dispute: JSON, status: str) -> JSON:
    before = copied(dispute)
    dispute["status"] = status
    account.emit("charge.dispute.closed", dispute, before)
    if status == "won":
        _move_funds(account, dispute, dispute["amount"], "charge.dispute.funds_reinstated")
    return dispute


def update(account: Account, params: JSON, dispute_id: str) -> JSON:
    """Add evidence. Unless ``submit`` is false it is submitted, and the bank reviews it."""
    dispute = account.find("dispute", dispute_id)
    _require_open(dispute)
    before = copied(dispute)
    dispute["metadata"] = merge_metadata(dispute["metadata"], params.get("metadata"))
    if evidence := params.get("evidence"):
        dispute["evidence"] = dispute["evidence"] | evidence
        dispute["evidence_details"] |= {"has_evidence": True}
        if params.get("submit", True):
            dispute["status"] = "warning_under_review" if _is_inquiry(dispute) else "under_review"
            dispute["evidence_details"]["submission_count"] += 1
    account.emit("charge.dispute.updated", dispute, before)
    return dispute


def close(account: Account, params: JSON, dispute_id: str) -> JSON:
    """Accept the dispute as the merchant, so that it is lost."""
    dispute = account.find("dispute", dispute_id)
    _require_open(dispute)
    return close_dispute(account, dispute, "lost")


def _require_open(dispute: JSON) -> None:
    if dispute["status"] not in OPEN:
        raise invalid(f"This dispute is already closed, with the status {dispute['status']}.")


def _is_inquiry(dispute: JSON) -> bool:
    return bool(dispute["status"].startswith("warning_"))


def _move_funds(account: Account, dispute: JSON, amount: int, event_type: str) -> None:
    booked = account.add(objects.balance_transaction(account, dispute, "adjustment", amount))
    dispute["balance_transactions"].append(booked)
    account.emit(event_type, dispute)
