"""Reads and writes JSON with exact amounts: a number with a decimal point is a Decimal."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

import orjson

from runner.emulator.webapi.faults import BadRequest

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def loads(body: bytes) -> Any:
    """Parse a request body. Raises BadRequest when it is not JSON, or holds text that is not Unicode."""
    try:
        # Some clients send a byte order mark, although JSON has none.
        value = _DECODER.decode(body.decode().removeprefix("\ufeff"))
        if _SURROGATE.search(body):
            # Half a surrogate pair is valid JSON, but cannot be stored or sent as text.
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request body is not valid JSON: {error}.") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)


def dumps(value: Any) -> bytes:
    """Write JSON. Decimals become numbers with all their digits."""
    return orjson.dumps(value, default=_fragment)


def _fragment(value: object) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{type(value).__name__} has no JSON form")
