"""The syntax of OData expressions: tokens, and the tree that a ``$filter`` is parsed into.

The tree does not depend on tables. :mod:`runner.emulator.query.odata` parses text into it; a name in it is later taken
for a column (``odata_binding``) or for a property of a metadata document.

Source: https://docs.oasis-open.org/odata/odata/v4.0/odata-v4.0-part2-url-conventions.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from dataverse_client.types import guid
from runner.emulator.errors import OrganizationServiceFault


class ODataError(OrganizationServiceFault):
    """The URL is malformed, or names something that the table does not have."""

    code = 0x80060888
    http_status = 400


@dataclass(frozen=True, slots=True)
class Literal:
    """A value in the URL. ``edm_type`` is the OData type of its syntax, and None for ``null``."""

    value: Any
    edm_type: str | None


@dataclass(frozen=True, slots=True)
class Property:
    """A name, or a path of names: ``primarycontactid/lastname``."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join(self.path)


@dataclass(frozen=True, slots=True)
class Comparison:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Junction:
    """Operands joined by ``and`` or by ``or``."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    operand: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A built-in function: ``contains(name,'x')``."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class QueryFunction:
    """``Microsoft.Dynamics.CRM.In(PropertyName='c',PropertyValues=[1])``, its name without the namespace."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lambda:
    """``contacts/any(c:c/lastname eq 'x')``. Without a body it is true when there is any row."""

    collection: Property
    quantifier: str
    variable: str | None = None
    body: Expression | None = None


Expression: TypeAlias = "Literal | Property | Comparison | Junction | Negation | Call | QueryFunction | Lambda"


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    value: Any
    position: int


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^']|'')*')
    | (?P<guid>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-]))
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,7})?)?(?:Z|[+-]\d\d:\d\d)?)
    | (?P<date>\d{4}-\d\d-\d\d(?![\w-]))
    | (?P<number>-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?(?![\w.]))
    | (?P<name>[@$]?[^\W\d][\w.]*)
    | (?P<json>(?=[\[{]))
    | (?P<mark>[(),/:=*;])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_CONSTANTS = {"null": (None, None), "true": (True, "Edm.Boolean"), "false": (False, "Edm.Boolean")}
#: Matches what decides where JSON ends: text in JSON's or OData's quotes, and brackets.
_JSON_PART = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[\[{\]}]""", re.DOTALL)
_JSON = json.JSONDecoder(parse_float=Decimal)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of ``text``, the last one of kind ``end``.

    Raises:
      ODataError: some character does not begin a token.
    """
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        if match is None:
            raise _no_token(text, position)
        token, position = _token(text, match)
        yield token
        if token.kind == "end":
            return


def _token(text: str, match: re.Match[str]) -> tuple[Token, int]:
    kind = match.lastgroup or "end"
    start = match.start(kind)
    if kind == "json":
        return _json_token(text, start)
    written = match[kind]
    try:
        return Token(kind, written, _READERS[kind](written), start), match.end()
    except ValueError:
        raise syntax_error(text, start) from None


def _json_token(text: str, start: int) -> tuple[Token, int]:
    """Read JSON, whose strings may be in OData's quotes: ``{'@odata.id':'accounts(<id>)'}``."""
    end = _json_end(text, start)
    try:
        value = _JSON.decode(_JSON_PART.sub(_as_json, text[start:end]))
    except (ValueError, RecursionError) as error:
        raise _invalid_json(text, start, error) from None
    return Token("json", text[start:end], value, start), end


def _json_end(text: str, start: int) -> int:
    depth = 0
    for part in _JSON_PART.finditer(text, start):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(part[0], 0)
        if depth == 0:
            return part.end()
    return len(text)


def _as_json(part: re.Match[str]) -> str:
    return json.dumps(_unquote(part[0])) if part[0].startswith("'") else part[0]


def _invalid_json(text: str, start: int, error: Exception) -> ODataError:
    if "',' delimiter" in str(error):
        return ODataError(
            "Invalid JSON. A comma character ',' was expected in scope 'Array'. Every two elements in an array and "
            "properties of an object must be separated by commas."
        )
    return syntax_error(text, start)


def _no_token(text: str, position: int) -> ODataError:
    if text[position:].lstrip().startswith("'"):
        return ODataError(f"There is an unterminated literal at position {len(text)} in '{text}'.")
    return syntax_error(text, position)


def syntax_error(text: str, position: int) -> ODataError:
    return ODataError(f"Syntax error at position {position} in '{text}'.")


def read_datetime(text: str) -> datetime:
    """Read a date and time as aware UTC; without an offset it is taken as UTC. Raises ValueError."""
    # Python reads at most six digits of a second; clients of Dataverse may send seven.
    instant = datetime.fromisoformat(re.sub(r"(\.\d{6})\d", r"\1", text))
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text} lies outside the years 1 to 9999") from None


def _read_number(text: str) -> int | Decimal:
    return int(text) if text.lstrip("-").isdigit() else Decimal(text)


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _as_written(text: str) -> str:
    return text


_READERS: Mapping[str, Any] = {
    "string": _unquote,
    "guid": guid,
    "datetime": read_datetime,
    "date": date.fromisoformat,
    "number": _read_number,
    "name": _as_written,
    "mark": _as_written,
    "end": _as_written,
}
_EDM_TYPES = {
    "string": "Edm.String",
    "guid": "Edm.Guid",
    "datetime": "Edm.DateTimeOffset",
    "date": "Edm.Date",
    "json": "Collection",
}


def literal(token: Token) -> Literal | None:
    """The value of ``token``, or None when it is a name or a mark."""
    if token.kind == "name" and token.text in _CONSTANTS:
        return Literal(*_CONSTANTS[token.text])
    if token.kind == "number":
        return Literal(token.value, "Edm.Int32" if isinstance(token.value, int) else "Edm.Decimal")
    edm_type = _EDM_TYPES.get(token.kind)
    return None if edm_type is None else Literal(token.value, edm_type)
