"""Parses the body of a notification: bytes -> JSON document.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.remoteexecutioncontext
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from runner.remote_context.errors import InvalidRemoteContextError, UnsupportedMessageFormatError

_BYTES_BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
#: More digits than any number of .NET has; writing out 1E999999999 would exhaust memory.
_MOST_DIGITS = 400
_LONGEST_INTEGER = 18


def parse(body: bytes) -> dict[str, Any]:
    """The document in ``body``, with fractions as Decimal.

    Raises:
      UnsupportedMessageFormatError: it is .NET binary or XML.
      InvalidRemoteContextError: it is not JSON, or has no MessageName.
    """
    _refuse_other_formats(body)
    try:
        document = json.loads(body, parse_float=_fraction, parse_int=_integer, parse_constant=_refuse)
        # Half a surrogate pair is valid JSON, but cannot be stored or sent as text.
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidRemoteContextError(f"The notification is not JSON: {error}.") from None
    if not isinstance(document, dict) or not isinstance(document.get("MessageName"), str):
        raise InvalidRemoteContextError("The body is not a RemoteExecutionContext: it has no MessageName.")
    return document


def _refuse_other_formats(body: bytes) -> None:
    first = body.lstrip(_BYTES_BEFORE_TEXT)[:1]
    if first == b"<":
        found = "XML"
    elif first == b"@":  # the first byte of an element in .NET's binary XML
        found = ".NET binary"
    else:
        return
    raise UnsupportedMessageFormatError(
        f"The notification is a {found} message, which is not read here. Set messageformat of the service endpoint to "
        "2 (JSON). See https://learn.microsoft.com/power-apps/developer/data-platform/azure-integration"
    )


def _fraction(text: str) -> Decimal:
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > _MOST_DIGITS:
        raise ValueError(f"{text[:40]} is not a number of .NET")
    return number


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _LONGEST_INTEGER else _fraction(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
