"""Searches intents: ``metadata['CRM_PaymentId']:'...' AND status:'succeeded'``.

The index has a delay: intents created less than ``search_lag`` ago are not found yet.

Source: https://docs.stripe.com/search
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import StripeRefusal, invalid
from runner.stripe_simulator.jsons import JSON

_CLAUSE = re.compile(
    r"""\s*(?P<not>-?)(?P<field>\w+)(?:\[(?P<kq>['"])(?P<key>[^'"]+)(?P=kq)\])?(?P<sign>>=|<=|[:><~])"""
    r"""(?:(?P<q>['"])(?P<text>.*?)(?P=q)|(?P<bare>\w+))\s*"""
)
_FIELDS = {"amount", "created", "currency", "customer", "metadata", "status"}
_NUMBERS = {"amount", "created"}
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    ":": lambda found, wanted: bool(found == wanted),
    "~": lambda found, wanted: str(wanted).lower() in str(found).lower(),
    ">": lambda found, wanted: bool(found > wanted),
    "<": lambda found, wanted: bool(found < wanted),
    ">=": lambda found, wanted: bool(found >= wanted),
    "<=": lambda found, wanted: bool(found <= wanted),
}
_Test = Callable[[JSON], bool]


def search_intents(account: Account, params: JSON) -> JSON:
    matches = _query(params["query"])
    indexed_until = account.now() - int(account.search_lag.total_seconds())
    found = [i for i in reversed(account.all("payment_intent")) if i["created"] <= indexed_until and matches(i)]
    start = int(params.get("page", 0))
    end = start + params.get("limit", 10)
    more = end < len(found)
    return {
        "object": "search_result",
        "data": found[start:end],
        "has_more": more,
        "next_page": str(end) if more else None,
        "url": "/v1/payment_intents/search",
    }


def _query(text: str) -> _Test:
    """Parse clauses joined by AND or by OR. Like Stripe, it refuses a mixture."""
    joints = set(re.findall(r"\s(AND|OR)\s", text))
    if len(joints) > 1:
        raise invalid("Queries may combine clauses with AND or with OR, not with both.", param="query")
    tests = [_clause(part) for part in re.split(r"\s(?:AND|OR)\s", text)]
    every = any if joints == {"OR"} else all
    return lambda intent: every(test(intent) for test in tests)


def _clause(text: str) -> _Test:
    found = _CLAUSE.fullmatch(text)
    if found is None or found["field"] not in _FIELDS or (found["key"] is None) == (found["field"] == "metadata"):
        raise _unreadable(text)
    field, key, negated = found["field"], found["key"], found["not"] == "-"
    matches = _matcher(found, text)

    def test(intent: JSON) -> bool:
        value = intent[field].get(key) if key else intent[field]
        return matches(value) != negated

    return test


def _matcher(found: re.Match[str], text: str) -> Callable[[Any], bool]:
    sign, wanted = found["sign"], found["bare"] if found["text"] is None else found["text"]
    compare, numeric = _SIGNS[sign], found["field"] in _NUMBERS
    if found["bare"] == "null" and sign == ":":
        return lambda value: value is None
    if numeric and wanted.isdigit() and sign != "~":
        return lambda value: compare(value, int(wanted))
    if not numeric and sign in (":", "~"):
        return lambda value: value is not None and compare(value, wanted)
    raise _unreadable(text)


def _unreadable(text: str) -> StripeRefusal:
    return invalid(f"We were unable to parse your search query: {text.strip()!r}.", param="query")
