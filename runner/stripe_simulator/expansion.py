"""Implements ``expand``: objects in place of their ids, and lists that are otherwise left out.

Source: https://docs.stripe.com/expand
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import invalid
from runner.stripe_simulator.jsons import JSON
from runner.stripe_simulator.listing import page

_DEPTH = 4
#: The kind of object for each expandable field. Lists are included rather than expanded.
_LEADS_TO = {
    "payment_intent": {"customer": "customer", "latest_charge": "charge", "payment_method": "payment_method"},
    "charge": {
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
        "refunds": "refund",
    },
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent",
    },
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "checkout.session": {"customer": "customer", "line_items": "item", "payment_intent": "payment_intent"},
    "payment_method": {"customer": "customer"},
}
_INCLUDED = {"refunds", "line_items"}


def check_expand(kind: str, paths: Iterable[str]) -> None:
    """Check the paths of a request.

    Raises:
      StripeRefusal: a path names a field that cannot be expanded in that kind of object.
    """
    for path in paths:
        fields = path.removeprefix("data.").split(".")
        if len(fields) > _DEPTH:
            raise invalid(f"You cannot expand more than {_DEPTH} levels of a property.", param="expand")
        here = kind
        for field in fields:
            if field != "data":
                here = _LEADS_TO.get(here, {}).get(field, "")
            if not here:
                raise invalid(f"This property cannot be expanded ({path}).", param="expand")


def expand(account: Account, answer: JSON, paths: Iterable[str]) -> None:
    """Expand ``answer`` in place at each of the checked paths, such as ``latest_charge.balance_transaction``."""
    for path in paths:
        _follow(account, answer, path.split("."))


def _follow(account: Account, node: JSON, fields: list[str]) -> None:
    if not fields:
        return
    field, *rest = fields
    if field == "data":
        for item in node["data"]:
            _follow(account, item, rest)
        return
    node[field] = _included(account, node, field) if field in _INCLUDED else _expanded(account, node, field)
    if isinstance(node[field], dict):
        _follow(account, node[field], rest)


def _expanded(account: Account, node: JSON, field: str) -> Any:
    value = node.get(field)
    return dict(account.find(_LEADS_TO[node["object"]][field], value)) if isinstance(value, str) else value


def _included(account: Account, node: JSON, field: str) -> JSON:
    if field == "line_items":
        return page(account.hidden(node["id"])["line_items"], {}, f"/v1/checkout/sessions/{node['id']}/line_items")
    refunds = (refund for refund in account.all("refund") if refund["charge"] == node["id"])
    return page(refunds, {}, f"/v1/charges/{node['id']}/refunds")
