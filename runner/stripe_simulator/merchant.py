"""The endpoints about the merchant: the account, its balance and its webhook endpoints.

The simulator does not send events itself: see ``StripeSimulator.listen`` and ``deliveries``.

Source: https://docs.stripe.com/api/webhook_endpoints
"""

from __future__ import annotations

from collections import Counter

from runner.stripe_simulator import objects
from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import invalid
from runner.stripe_simulator.jsons import JSON
from runner.stripe_simulator.limits import merge_metadata

MOST_ENDPOINTS = 16


def retrieve_account(account: Account, params: JSON) -> JSON:
    return {
        "id": "acct_simulator",
        "object": "account",
        "business_profile": {"name": "Simulator"},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "payouts_enabled": True,
        "settings": {"payments": {"statement_descriptor": objects.STATEMENT_PREFIX}},
        "type": "standard",
    }


def retrieve_balance(account: Account, params: JSON) -> JSON:
    """The balance, which is all available, as test mode pays nothing out."""
    net: Counter[str] = Counter()
    for booked in account.all("balance_transaction"):
        net[booked["currency"]] += booked["net"]
    available = [{"amount": amount, "currency": currency} for currency, amount in net.items()]
    return {"object": "balance", "available": available, "livemode": False, "pending": []}


def create_endpoint(account: Account, params: JSON) -> JSON:
    """Create a webhook endpoint. Only this response contains its ``secret``."""
    if len(account.all("webhook_endpoint")) >= MOST_ENDPOINTS:
        raise invalid(f"You have reached the maximum of {MOST_ENDPOINTS} test webhook endpoints.")
    endpoint = account.add(objects.webhook_endpoint(account))
    _write(endpoint, params)
    return endpoint | {"secret": account.webhook_secret}


def update_endpoint(account: Account, params: JSON, endpoint_id: str) -> JSON:
    endpoint = account.find("webhook_endpoint", endpoint_id, "webhook_endpoint")
    _write(endpoint, params)
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    return endpoint


def delete_endpoint(account: Account, params: JSON, endpoint_id: str) -> JSON:
    account.remove("webhook_endpoint", endpoint_id)
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def _write(endpoint: JSON, params: JSON) -> None:
    endpoint |= {name: params[name] or None for name in ("description", "enabled_events", "url") if name in params}
    endpoint["api_version"] = params.get("api_version", endpoint["api_version"])
    endpoint["metadata"] = merge_metadata(endpoint["metadata"], params.get("metadata"))
