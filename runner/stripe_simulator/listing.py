"""Pages lists of objects, newest first.

Source: https://docs.stripe.com/api/pagination
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runner.stripe_simulator.errors import invalid, missing_resource
from runner.stripe_simulator.jsons import JSON

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def page(resources: Iterable[JSON], params: JSON, url: str) -> JSON:
    """The requested page of ``resources``, which are oldest first; the page is newest first."""
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
