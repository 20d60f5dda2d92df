"""Parses OData query options by recursive descent into the tree of ``odata_syntax``.

    >>> parse_filter("contains(name,'x') and revenue gt 5")  # doctest: +ELLIPSIS
    Junction(operator='and', operands=(Call(name='contains', ...), Comparison(operator='gt', ...)))

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/overview
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

from dataverse_client.types import is_guid
from runner.emulator.query.odata_syntax import (
    Call,
    Comparison,
    Expression,
    Junction,
    Lambda,
    Literal,
    Negation,
    ODataError,
    Property,
    QueryFunction,
    Token,
    literal,
    syntax_error,
    tokens,
)

COMPARISON_OPERATORS = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})
QUERY_FUNCTION_NAMESPACE = "Microsoft.Dynamics.CRM."
#: Deeper than real filters, and shallow enough for Python's stack.
MAX_DEPTH = 60

#: Characters that OData's options may hold in a URL without being encoded.
_UNENCODED = "$=,:/()'*!@"

_GUID_LENGTH = 36
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/join-tables
_EXPAND_OPTIONS = frozenset({"$select", "$filter", "$orderby", "$top", "$expand"})

_NO_ALIASES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class OrderItem:
    property: Property
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ExpandItem:
    """A navigation property and the options in its parentheses.

    ``query`` is the same options as an encoded query string. ``is_reference`` is set by ``/$ref``, which returns the
    row's address only.
    """

    navigation_property: str
    options: QueryOptions
    query: str = field(default="", compare=False)
    is_reference: bool = False


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The system query options of a request. ``select`` None means every column."""

    select: tuple[str, ...] | None = None
    filter: Expression | None = None
    orderby: tuple[OrderItem, ...] = ()
    expand: tuple[ExpandItem, ...] = ()
    top: int | None = None
    count: bool = False
    apply: str | None = None

    @property
    def shown(self) -> tuple[str, ...] | None:
        """The properties returned of a row: the selected ones, and lookups that are expanded with ``/$ref``."""
        if self.select is None:
            return None
        return (*self.select, *(item.navigation_property for item in self.expand if item.is_reference))


_NO_OPTIONS = QueryOptions()


def parse_options(parameters: Mapping[str, str], depth: int = 0) -> QueryOptions:
    """Parse the system query options among ``parameters``, in which ``@p`` is replaced by the parameter ``@p``.

    Raises:
      ODataError: an option is malformed, or not supported by Dataverse.
    """
    if not parameters:
        return _NO_OPTIONS
    if depth > MAX_DEPTH:
        raise ODataError(f"The $expand goes deeper than {MAX_DEPTH} levels.")
    aliases = {name: value for name, value in parameters.items() if name.startswith("@")}
    return QueryOptions(
        select=_optional(parameters, "$select", parse_select),
        filter=_optional(parameters, "$filter", lambda text: parse_filter(text, aliases)),
        orderby=_optional(parameters, "$orderby", lambda text: parse_orderby(text, aliases)) or (),
        expand=_optional(parameters, "$expand", lambda text: parse_expand(text, depth, aliases)) or (),
        top=_optional(parameters, "$top", _parse_top),
        count=_optional(parameters, "$count", _parse_count) or False,
        apply=parameters.get("$apply"),
    )


def _optional(parameters: Mapping[str, str], name: str, parse: Callable[[str], Any]) -> Any:
    text = parameters.get(name)
    return None if text is None else parse(text)


def parse_filter(text: str, aliases: Mapping[str, str] = _NO_ALIASES) -> Expression:
    """Parse a ``$filter``. Raises ODataError."""
    parser = Parser(text, aliases)
    expression = parser.disjunction()
    parser.expect("end")
    return expression


def parse_orderby(text: str, aliases: Mapping[str, str] = _NO_ALIASES) -> tuple[OrderItem, ...]:
    """Parse an ``$orderby``. Raises ODataError."""
    parser = Parser(text, aliases)
    items = [parser.order_item()]
    while parser.accept(","):
        items.append(parser.order_item())
    parser.expect("end")
    return tuple(items)


def parse_select(text: str) -> tuple[str, ...] | None:
    """Parse a ``$select``. None, for ``*`` or nothing, means every column."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return None if not names or "*" in names else names


def parse_expand(text: str, depth: int = 0, aliases: Mapping[str, str] = _NO_ALIASES) -> tuple[ExpandItem, ...]:
    """Parse an ``$expand`` with the options in its parentheses. Raises ODataError."""
    return tuple(_expand_item(part.strip(), depth, aliases) for part in split_outside(text, ",") if part.strip())


def _expand_item(text: str, depth: int, aliases: Mapping[str, str]) -> ExpandItem:
    name, parenthesis, rest = text.partition("(")
    if not parenthesis:
        navigation_property = text.removesuffix("/$ref")
        return ExpandItem(navigation_property, QueryOptions(), is_reference=navigation_property != text)
    if not rest.endswith(")"):
        raise syntax_error(text, len(text))
    written = [part.strip() for part in split_outside(rest[:-1], ";") if part.strip()]
    options = {key.strip(): value.strip() for key, _, value in (part.partition("=") for part in written)}
    for key in options.keys() - _EXPAND_OPTIONS:
        raise ODataError(f"The query parameter {key} is not supported in $expand.")
    query = "&".join(f"{key}={quote(value, safe=_UNENCODED)}" for key, value in options.items())
    return ExpandItem(name.strip(), parse_options({**aliases, **options}, depth + 1), query)


def parse_arguments(text: str, aliases: Mapping[str, str] = _NO_ALIASES) -> Mapping[str, Any]:
    """Parse the parentheses of a URL segment: the columns of a key, or the parameters of a function, by name.

    A single value without a name, as in ``accounts(<guid>)``, is returned as ``""``. Raises ODataError.
    """
    if len(text) == _GUID_LENGTH and is_guid(text):
        return {"": text.lower()}  # the most frequent case needs no parser
    parser = Parser(text, aliases)
    arguments = parser.named_arguments("end") if text.strip() else {}
    parser.expect("end")
    return arguments


def split_outside(text: str, separator: str) -> list[str]:
    """Split at ``separator``, but not inside quotes, parentheses, brackets or braces."""
    if separator not in text:
        return [text]
    parts: list[str] = []
    depth = start = 0
    for mark in _marks(separator).finditer(text):
        if mark[0] in "([{":
            depth += 1
        elif mark[0] in ")]}":
            depth -= 1
        elif mark[0] == separator and depth == 0:
            parts.append(text[start : mark.start()])
            start = mark.end()
    return [*parts, text[start:]]


@cache
def _marks(separator: str) -> re.Pattern[str]:
    """Matches what decides where a text is split: quoted parts, brackets and the separator."""
    return re.compile(rf"'[^']*'?|[()\[\]{{}}{re.escape(separator)}]")


def _parse_top(text: str) -> int:
    # isascii excludes digits that int() accepts and Dataverse does not, such as Arabic-Indic ones.
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) == 0:
        raise ODataError(f"Invalid value '{text}' for $top query option found. It must be a positive integer.")
    return int(text)


def _parse_count(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ODataError(f"Invalid value '{text}' for $count query option found. Valid values are true and false.")
    return text.lower() == "true"


class Parser:
    """A recursive descent parser of one text. Each method parses one rule of the grammar."""

    def __init__(self, text: str, aliases: Mapping[str, str] = _NO_ALIASES) -> None:
        self._text = text
        self._aliases = aliases
        # All tokens at once, so that an unterminated literal is reported before any other error.
        self._tokens = iter(tuple(tokens(text)))
        self._token = next(self._tokens)
        self._depth = 0

    def disjunction(self) -> Expression:
        return self._junction("or", self._conjunction)

    def _conjunction(self) -> Expression:
        return self._junction("and", self._comparison)

    def _junction(self, word: str, operand: Callable[[], Expression]) -> Expression:
        operands = [operand()]
        while self._token.kind == "name" and self._token.text == word:
            self._next()
            operands.append(operand())
        return operands[0] if len(operands) == 1 else Junction(word, tuple(operands))

    def _comparison(self) -> Expression:
        left = self._unary()
        if self._token.kind == "name" and self._token.text in COMPARISON_OPERATORS:
            return Comparison(self._next().text, left, self._unary())
        return left

    def _unary(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ODataError(f"The expression nests deeper than {MAX_DEPTH} levels.")
        expression = self._negation() if self._token.text == "not" else self._primary()
        self._depth -= 1
        return expression

    def _negation(self) -> Expression:
        self._next()
        return Negation(self._unary())

    def _primary(self) -> Expression:
        if self.accept("("):
            expression = self.disjunction()
            self.expect(")")
            return expression
        value = literal(self._token)
        if value is not None:
            self._next()
            return value
        return self._named()

    def _named(self) -> Expression:
        if self._token.text.startswith("@"):
            return self._alias()
        path = self.path()
        if self._token.kind == "string" and path[0].startswith(QUERY_FUNCTION_NAMESPACE):
            return Literal(self._next().value, "Edm.String")  # Microsoft.Dynamics.CRM.AttributeTypeCode'Picklist'
        if self._token.text != "(":
            return Property(path)
        if path[-1] in ("any", "all") and len(path) > 1:
            return self._lambda(path)
        if path[-1].startswith(QUERY_FUNCTION_NAMESPACE) and len(path) == 1:
            return self._query_function(path[0])
        return self._call("/".join(path))

    def path(self) -> tuple[str, ...]:
        names = [self.expect("name").text]
        while self.accept("/"):
            names.append(self.expect("name").text)
        return tuple(names)

    def _call(self, name: str) -> Call:
        self.expect("(")
        arguments = []
        while not self.accept(")"):
            arguments.append(self._comparison())
            if self._token.text != ")":
                self.expect(",")
        return Call(name, tuple(arguments))

    def _query_function(self, name: str) -> QueryFunction:
        self.expect("(")
        arguments = self.named_arguments(")")
        self.expect(")")
        return QueryFunction(name.removeprefix(QUERY_FUNCTION_NAMESPACE), arguments)

    def named_arguments(self, end: str) -> Mapping[str, Any]:
        arguments: dict[str, Any] = {}
        while not self._at(end):
            name = "" if literal(self._token) else self._argument_name()
            if name in arguments:
                raise ODataError(f"'{name}' appears twice in '{self._text}'.")
            arguments[name] = self._value()
            if not self._at(end):
                self.expect(",")
        return arguments

    def _argument_name(self) -> str:
        name = self.expect("name").text
        self.expect("=")
        return name

    def _value(self) -> Any:
        expression = self._primary()
        if isinstance(expression, Property):
            # Dataverse also accepts PropertyName=statecode without quotes.
            return str(expression)
        if not isinstance(expression, Literal):
            raise syntax_error(self._text, self._token.position)
        return expression.value

    def _alias(self) -> Expression:
        """The value or property that a parameter alias stands for; null when it has no value."""
        aliased = Parser(self._aliases.get(self._next().text, "null"))
        expression = aliased._primary()
        aliased.expect("end")
        return expression

    def _lambda(self, path: tuple[str, ...]) -> Lambda:
        collection, quantifier = Property(path[:-1]), path[-1]
        self.expect("(")
        if self.accept(")"):
            return Lambda(collection, quantifier)
        variable = self.expect("name").text
        self.expect(":")
        body = self.disjunction()
        self.expect(")")
        return Lambda(collection, quantifier, variable, body)

    def order_item(self) -> OrderItem:
        item = self._alias() if self._token.text.startswith("@") else Property(self.path())
        if not isinstance(item, Property):
            raise ODataError(f"'{self._text}' does not name a property to order by.")
        if self._token.text in ("asc", "desc"):
            return OrderItem(item, self._next().text == "desc")
        return OrderItem(item)

    def accept(self, mark: str) -> bool:
        if not self._at(mark):
            return False
        self._next()
        return True

    def expect(self, what: str) -> Token:
        """Consume the next token. Raises ODataError unless its kind or text is ``what``."""
        if self._token.kind != what and not self._at(what):
            raise syntax_error(self._text, self._token.position)
        return self._next()

    def _at(self, what: str) -> bool:
        token = self._token
        return token.kind == what if what == "end" else token.kind == "mark" and token.text == what

    def _next(self) -> Token:
        token = self._token
        self._token = next(self._tokens, token)
        return token
