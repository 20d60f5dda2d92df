"""A QueryExpression as an OData query string.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/overview
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import orjson

from dataverse_client.errors import InvalidRequestError, UnexpectedResponseError
from dataverse_client.exchange import Request, prefer
from dataverse_client.metadata import TableMetadata
from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    FilterExpression,
    LogicalOperator,
    OrderExpression,
    PagingInfo,
    QueryExpression,
)
from dataverse_client.webapi import literal, quoted

_T = TypeVar("_T")

#: The most rows Dataverse returns at once, and the largest $top it accepts.
MAX_PAGE = 5000

_COMPARISONS = {
    ConditionOperator.EQUAL: "eq",
    ConditionOperator.NOT_EQUAL: "ne",
    ConditionOperator.GREATER_THAN: "gt",
    ConditionOperator.GREATER_EQUAL: "ge",
    ConditionOperator.LESS_THAN: "lt",
    ConditionOperator.LESS_EQUAL: "le",
}
_TEXT_FUNCTIONS = {ConditionOperator.BEGINS_WITH: "startswith", ConditionOperator.ENDS_WITH: "endswith"}
_EMPTINESS = {ConditionOperator.NULL: "eq", ConditionOperator.NOT_NULL: "ne"}
_LISTS = frozenset({ConditionOperator.IN, ConditionOperator.NOT_IN})
_PATTERNS = frozenset({ConditionOperator.LIKE, ConditionOperator.NOT_LIKE})
#: The operators that have an OData form.
ODATA_OPERATORS = frozenset(
    {*_COMPARISONS, *_TEXT_FUNCTIONS, *_EMPTINESS, *_LISTS, *_PATTERNS, ConditionOperator.BETWEEN}
)


def query_request(query: QueryExpression, table: TableMetadata, root: str) -> Request:
    """The GET for the first page of ``query``, or for the page its ``paging_cookie`` (a nextLink) names.

    Raises:
      InvalidRequestError: a condition has no OData form, or a page beyond the first is asked for by number.
      UnexpectedResponseError: the nextLink is not below ``root``; our token must not be sent elsewhere.
    """
    page = query.page_info or PagingInfo(count=MAX_PAGE)
    if page.paging_cookie is not None:
        path = below(root, page.paging_cookie)
    elif page.page_number == 1:
        path = table.entity_set_name + query_string(_options(query, table))
    else:
        raise InvalidRequestError("The Web API has no page numbers: pass the previous page's paging_cookie")
    # Dataverse takes either a number of rows or the size of a page.
    size = min(page.count, query.top_count or page.count)
    return Request("GET", path, prefer() if is_topped(query) else prefer(f"odata.maxpagesize={size}"))


def is_topped(query: QueryExpression) -> bool:
    """Whether Dataverse is asked for a number of rows, and not for pages."""
    return query.top_count is not None and query.top_count <= MAX_PAGE and query.page_info is None


def below(root: str, link: str) -> str:
    """The part of ``link`` after ``root``; a default port may be spelled out in either.

    Raises:
      UnexpectedResponseError: ``link`` is not below ``root``; our token must not be sent elsewhere.
    """
    try:
        parts = urlsplit(link)
        same = _origin(link) == _origin(root)
    except ValueError:
        same = False
    base = urlsplit(root).path
    if not same or not parts.path.startswith(base):
        raise UnexpectedResponseError(f"The next page is said to be at {link[:100]!r}, which is not below {root}")
    return parts.path[len(base) :] + (f"?{parts.query}" if parts.query else "")


def next_link(content: Mapping[str, Any], asked: str | None) -> str | None:
    """The link to the next page; None on the last. ``asked`` is the link that led to this page.

    Raises:
      UnexpectedResponseError: the two are the same, so reading on would never end.
    """
    link = content.get("@odata.nextLink")
    if link is not None and link == asked:
        raise UnexpectedResponseError(f"The page at {link[:100]!r} leads to itself, so the others cannot be reached")
    return link


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def query_string(options: Iterator[tuple[str, str]]) -> str:
    """``?$select=a,b&$top=1``, percent-encoded; empty without options."""
    parts = [f"{name}={quote(value, safe=_SAFE_IN_QUERY)}" for name, value in options]
    return "?" + "&".join(parts) if parts else ""


_SAFE_IN_QUERY = "$,()'@:/*="


def select(columns: Sequence[str] | None, table: TableMetadata) -> Iterator[tuple[str, str]]:
    """The $select option: none for every column, the id alone for an empty choice."""
    if columns is not None:
        yield "$select", ",".join(table.property_name(column) for column in columns or [table.primary_id_attribute])


def _options(query: QueryExpression, table: TableMetadata) -> Iterator[tuple[str, str]]:
    yield from select(query.column_set, table)
    if condition := filter_text(query.criteria, table):
        yield "$filter", condition
    if query.orders:
        yield "$orderby", ",".join(_order(order, table) for order in query.orders)
    if is_topped(query):
        yield "$top", str(query.top_count)
    if query.page_info is not None and query.page_info.return_total_record_count:
        yield "$count", "true"


def _order(order: OrderExpression, table: TableMetadata) -> str:
    return f"{table.property_name(order.attribute_name)} {order.order_type}"


def filter_text(criteria: FilterExpression, table: TableMetadata) -> str:
    """``criteria`` as $filter, not yet percent-encoded; empty when it restricts nothing."""
    parts = [_condition(condition, table) for condition in criteria.conditions]
    for nested in criteria.filters:
        text = filter_text(nested, table)
        if not text and criteria.operator is LogicalOperator.OR:
            return ""  # an empty filter holds for every row, and so does "this or every row"
        if text:
            parts.append(f"({text})")
    return f" {criteria.operator} ".join(parts)


def _condition(condition: ConditionExpression, table: TableMetadata) -> str:
    operator, column = condition.operator, condition.attribute_name
    name = table.property_name(column)
    values = [literal(value, table, column) for value in condition.values]
    if operator in _COMPARISONS:
        return f"{name} {_COMPARISONS[operator]} {_only(condition, values)}"
    if operator in _EMPTINESS:
        return f"{name} {_EMPTINESS[operator]} null"
    if operator in _TEXT_FUNCTIONS:
        return f"{_TEXT_FUNCTIONS[operator]}({name},{_only(condition, values)})"
    if operator in _LISTS:
        return _membership(condition, values, table)
    if operator is ConditionOperator.BETWEEN and len(values) == 2:
        return f"({name} ge {values[0]} and {name} le {values[1]})"
    if operator in _PATTERNS:
        text = _like(name, str(_only(condition, condition.values)))
        return text if operator is ConditionOperator.LIKE else f"not ({text})"
    raise InvalidRequestError(f"{column} {operator} with {len(values)} values has no OData form")


def _only(condition: ConditionExpression, values: Sequence[_T]) -> _T:
    if len(values) != 1:
        raise InvalidRequestError(
            f"{condition.attribute_name} {condition.operator} compares with one value, not {len(values)}"
        )
    return values[0]


def _membership(condition: ConditionExpression, literals: Sequence[str], table: TableMetadata) -> str:
    """Dataverse's own functions take every value as text, numbers and ids too.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/in
    """
    column, is_in = condition.attribute_name, condition.operator is ConditionOperator.IN
    if not literals:
        raise InvalidRequestError(f"{column} {condition.operator} needs at least one value")
    if table.is_lookup(column):
        # It is nowhere said by which of its two names the functions know a lookup.
        comparison, joint = ("eq", " or ") if is_in else ("ne", " and ")
        return f"({joint.join(f'{table.property_name(column)} {comparison} {text}' for text in literals)})"
    texts = [text[1:-1].replace("''", "'") if text.startswith("'") else text for text in literals]
    values = orjson.dumps(texts).decode()
    return f"Microsoft.Dynamics.CRM.{'In' if is_in else 'NotIn'}(PropertyName='{column}',PropertyValues={values})"


def _like(name: str, pattern: str) -> str:
    """A LIKE pattern that is open at one of its ends. What OData's functions are given may hold wildcards, too.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/wildcard-characters
    """
    opened, closed = pattern.startswith("%"), len(pattern) > 1 and pattern.endswith("%")
    text = quoted(pattern.removeprefix("%").removesuffix("%"), name)
    if opened and closed:
        return f"contains({name},{text})"
    if opened or closed:
        return f"{'endswith' if opened else 'startswith'}({name},{text})"
    if any(wildcard in pattern for wildcard in "%_["):
        raise InvalidRequestError(f"{name} like {pattern!r} has no OData form: only with % at one of its ends")
    return f"{name} eq {text}"
