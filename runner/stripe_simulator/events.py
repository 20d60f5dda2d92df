"""The endpoint that lists recent events.

Source: https://docs.stripe.com/api/events/list
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from runner.stripe_simulator.account import Account
from runner.stripe_simulator.errors import invalid
from runner.stripe_simulator.jsons import JSON
from runner.stripe_simulator.listing import page

#: Events can be read for this many seconds.
RETENTION_SECONDS = 30 * 24 * 3600


def check_list(params: JSON) -> None:
    if "type" in params and "types" in params:
        raise invalid("You may only specify one of these parameters: type, types.")
    if len(params.get("types", ())) > 20:
        raise invalid("You can pass up to 20 types.", param="types")


def list_events(account: Account, params: JSON) -> JSON:
    wanted = params.get("types") or [params.get("type", "*")]
    since = account.now() - RETENTION_SECONDS
    events = [e for e in account.all("event") if e["created"] > since and _is_any(e["type"], wanted)]
    if "delivery_success" in params:
        events = [e for e in events if (e["pending_webhooks"] == 0) == params["delivery_success"]]
    return page(events, params, "/v1/events")


def _is_any(event_type: str, wanted: list[str]) -> bool:
    return any(fnmatchcase(event_type, pattern) for pattern in wanted)
