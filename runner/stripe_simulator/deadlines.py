"""Expires sessions and uncaptured authorizations whose time has passed."""

from __future__ import annotations

from runner.stripe_simulator import checkout, payment_intents
from runner.stripe_simulator.account import Account, Cause


def meet(account: Account) -> None:
    """Expire what became due since the last request. The events name no request."""
    with account.acting(Cause()):
        for resource in account.overdue():
            if resource["object"] == "checkout.session" and resource["status"] == "open":
                checkout.expire(account, {}, resource["id"])
            elif resource["status"] == "requires_capture":
                payment_intents.expire_authorization(account, resource)
