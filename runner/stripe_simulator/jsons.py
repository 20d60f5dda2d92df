"""Objects as the API speaks them: plain JSON, copied often."""

from __future__ import annotations

from typing import Any

import orjson

JSON = dict[str, Any]


def copied(value: JSON) -> JSON:
    """A deep copy. Through text and back is many times faster than ``copy.deepcopy``, and enough for JSON."""
    copy: JSON = orjson.loads(orjson.dumps(value))
    return copy
