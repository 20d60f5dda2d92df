"""JSON with exact amounts: numbers with a decimal point are Decimals in both directions."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

import orjson

from runner.emulator.webapi.faults import BadRequest

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def loads(body: bytes) -> Any:
    """Raises BadRequest when ``body`` is not JSON, or holds text that is not Unicode."""
    try:
        # A mark of the byte order is no part of JSON, and many a client sends one nevertheless.
        value = _DECODER.decode(body.decode().removeprefix("\ufeff"))
        if _SURROGATE.search(body):
            # Half a surrogate pair is legal JSON but no text: nothing could store it or send it on.
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request body is not valid JSON: {error}.") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)


def dumps(value: Any) -> bytes:
    """Decimals are written as numbers with every digit they have."""
    return orjson.dumps(value, default=_fragment)


def _fragment(value: object) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"{type(value).__name__} has no JSON form")
