"""Form bodies as Stripe's SDKs write them: ``amount=5&metadata[a]=b&expand[0]=latest_charge``."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from runner.stripe_simulator.errors import invalid
from runner.stripe_simulator.jsons import JSON

_SEGMENT = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> JSON:
    """Nested dictionaries of strings; a list is a dictionary whose keys are its indices.

    Raises:
      StripeRefusal: a name cannot be read, or is used as a value and as a parent.
    """
    params: JSON = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        _put(params, name, value)
    return params


def _put(params: JSON, name: str, value: str) -> None:
    *parents, last = _path(name)
    node = params
    for segment in parents:
        node = node.setdefault(segment or str(len(node)), {})
        if not isinstance(node, dict):
            raise invalid(f"Invalid hash: {name} is given as a value and as a hash.", param=name)
    node[last or str(len(node))] = value


def _path(name: str) -> list[str]:
    head, bracket, _ = name.partition("[")
    segments = _SEGMENT.findall(name)
    if bracket and head + "".join(f"[{segment}]" for segment in segments) != name:
        raise invalid(f"Invalid parameter name: {name}", param=name)
    return [head, *segments]
