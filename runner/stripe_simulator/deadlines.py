"""What happens by the passing of time: sessions expire, and uncaptured authorizations are released."""

from __future__ import annotations

from runner.stripe_simulator import checkout, payment_intents
from runner.stripe_simulator.account import Account, Cause


def meet(account: Account) -> None:
    """Do what fell due since the last request. No request caused it, so its events name none."""
    with account.acting(Cause()):
        for resource in account.overdue():
            if resource["object"] == "checkout.session" and resource["status"] == "open":
                checkout.expire(account, {}, resource["id"])
            elif resource["status"] == "requires_capture":
                payment_intents.expire_authorization(account, resource)
