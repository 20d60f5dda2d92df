"""Types and copies of JSON objects."""

from __future__ import annotations

from typing import Any

import orjson

JSON = dict[str, Any]


def copied(value: JSON) -> JSON:
    """A deep copy, by way of JSON text, which is many times faster than ``copy.deepcopy``."""
    copy: JSON = orjson.loads(orjson.dumps(value))
    return copy
