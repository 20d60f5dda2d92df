"""Lists, newest first, a page at a time; and objects expanded in place of their ids.

Source: https://docs.stripe.com/api/pagination
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import JSON, invalid, missing_resource

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}
#: Which kind of object a field's id names, where the field is not called after it.
_REFERS_TO = {"latest_charge": "charge"}


def page(resources: Iterable[JSON], params: JSON, url: str) -> JSON:
    """``resources``, oldest first, as the page asked for, newest first."""
    chosen = [r for r in reversed(list(resources)) if _created_within(r["created"], params.get("created"))]
    limit = _limit(params)
    if before := params.get("ending_before"):
        chosen = chosen[: _position(chosen, before, "ending_before")]
        data, more = chosen[-limit:], len(chosen) > limit
    else:
        after = params.get("starting_after")
        chosen = chosen[_position(chosen, after, "starting_after") + 1 :] if after else chosen
        data, more = chosen[:limit], len(chosen) > limit
    return {"object": "list", "data": data, "has_more": more, "url": url}


def expand(account: Account, answer: JSON, paths: Iterable[str]) -> None:
    """Put the object in place of its id, at each path such as ``latest_charge.balance_transaction``.

    Raises:
      StripeRefusal: the path leads nowhere.
    """
    for path in paths:
        _expand(account, answer, path.split("."), path)


def _expand(account: Account, node: JSON, fields: list[str], path: str) -> None:
    field, *rest = fields
    if field == "data" and node.get("object") in ("list", "search_result"):
        for item in node["data"]:
            _expand(account, item, rest, path)
        return
    if field not in node:
        message = f"This property cannot be expanded ({path})."
        raise invalid(message, param="expand")
    node[field] = _expanded(account, field, node[field])
    if rest and isinstance(node[field], dict):
        _expand(account, node[field], rest, path)


def _expanded(account: Account, field: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return dict(account.find(_REFERS_TO.get(field, field), value))


def _limit(params: JSON) -> int:
    limit: int = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("Invalid limit: must be between 1 and 100", code="parameter_invalid_integer", param="limit")
    return limit


def _created_within(created: int, wanted: Any) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return created == wanted
    return all(_COMPARISONS[name](created, bound) for name, bound in wanted.items())


def _position(resources: list[JSON], resource_id: str, param: str) -> int:
    for position, resource in enumerate(resources):
        if resource["id"] == resource_id:
            return position
    raise missing_resource("object", resource_id, param)
