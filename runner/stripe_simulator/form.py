"""Decodes the form bodies that Stripe's SDKs send: ``amount=5&metadata[a]=b&expand[0]=latest_charge``."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from runner.stripe_simulator.errors import invalid
from runner.stripe_simulator.jsons import JSON

_SEGMENT = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> JSON:
    """Decode a form into nested dictionaries of strings; a list becomes a dictionary with its indices as keys.

    Raises:
      StripeRefusal: a name is malformed, or is used for a value and for a hash.
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
            raise invalid(f"Invalid hash: {name} is used for a value and for a hash.", param=name)
    node[last or str(len(node))] = value


def _path(name: str) -> list[str]:
    head, bracket, _ = name.partition("[")
    segments = _SEGMENT.findall(name)
    if bracket and head + "".join(f"[{segment}]" for segment in segments) != name:
        raise invalid(f"Invalid parameter name: {name}", param=name)
    return [head, *segments]
