"""JSON in which numbers keep every digit: money is never a float."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson

from dataverse_client.errors import InvalidRequestError, UnexpectedResponseError
from dataverse_client.exchange import Answer


class JsonObject(dict[str, Any]):
    """The JSON object in an answer. Reading a missing member raises UnexpectedResponseError."""

    def __missing__(self, name: str) -> Any:
        raise UnexpectedResponseError(f"The answer has no {name}, only {', '.join(self) or 'nothing'}")


def loads(answer: Answer) -> JsonObject:
    """The JSON object in an answer, with ``Decimal`` for every number that has a fraction or an exponent.

    Raises:
      UnexpectedResponseError: the body is not a JSON object.
    """
    try:
        content = json.loads(answer.body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _unexpected(answer, str(error)) from error
    if not isinstance(content, dict):
        raise _unexpected(answer, f"it is a {type(content).__name__}")
    return JsonObject(content)


def rows(content: JsonObject) -> list[dict[str, Any]]:
    """The objects of a collection. Raises UnexpectedResponseError when its ``value`` is not a list of objects."""
    value = content["value"]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise UnexpectedResponseError("The 'value' of an answer should be a list of JSON objects, and is not")
    return value


def dumps(content: Any) -> bytes:
    """JSON as UTF-8. A Decimal is written with exactly its own digits, and must be finite.

    Raises:
      InvalidRequestError: it has no JSON form: an integer of more than 64 bits, text that is not Unicode.
    """
    try:
        return orjson.dumps(content, default=_exact)
    except orjson.JSONEncodeError as error:
        raise InvalidRequestError(f"This cannot be written as JSON: {error}") from error


def _exact(value: Any) -> orjson.Fragment:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} has no place in a Web API body")
    return orjson.Fragment(format(value, "f"))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _unexpected(answer: Answer, why: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(
        f"The answer should be a JSON object, but {why}", status=answer.status, request=str(answer.request)
    )
