"""Finds where a page starts: the paging cookie, and the SQL of "after this row".

The rows after ``(a, b, n)`` are those with the same a and b and a greater n, then those with the same a and a greater
b, then those with a greater a. These segments follow each other in the requested order. Each is a range of an index,
so every page costs the same. Rows without a value come first, as in SQL Server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.emulator.errors import InvalidArgument
from runner.emulator.query.model import Page, Query

#: The most rows of a page, and the highest count that Dataverse returns.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/count-rows
MAX_PAGE = 5000


@dataclass(frozen=True, slots=True)
class SortKey:
    """The SQL of an expression to sort by. The last key of a query is unique."""

    sql: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A condition in SQL and the values of its placeholders."""

    sql: str
    parameters: tuple[Any, ...] = ()


_MAX_PAGES = 2**31
EVERYTHING = Segment("1")


def order_by(keys: Sequence[SortKey]) -> str:
    return ", ".join(f"{key.sql} {'DESC' if key.descending else 'ASC'}" for key in keys)


def segments_after(keys: Sequence[SortKey], last: Sequence[Any]) -> Iterator[Segment]:
    """The segments of the rows after the one whose sort keys are ``last``, in order."""
    for depth in range(len(keys) - 1, -1, -1):
        same = [_same(key, value) for key, value in zip(keys[:depth], last[:depth], strict=True)]
        for later in _later(keys[depth], last[depth]):
            parts = [*same, later]
            yield Segment(" AND ".join(part.sql for part in parts), tuple(v for part in parts for v in part.parameters))


def _same(key: SortKey, value: Any) -> Segment:
    return Segment(f"{key.sql} IS NULL") if value is None else Segment(f"{key.sql} = ?", (value,))


def _later(key: SortKey, value: Any) -> Iterator[Segment]:
    if value is None:
        if not key.descending:
            yield Segment(f"{key.sql} IS NOT NULL")
        return
    yield Segment(f"{key.sql} {'<' if key.descending else '>'} ?", (value,))
    if key.descending:
        yield Segment(f"{key.sql} IS NULL")


def write_cookie(page: int, last: Sequence[Any]) -> str:
    """The cookie of a page: its number and the sort keys of its last row. Opaque to clients."""
    return json.dumps([page, *last], separators=(",", ":"))


def read_cookie(cookie: str, keys: int | None = None) -> tuple[int, list[Any]]:
    """Read a cookie: the number of its page and the sort keys of that page's last row.

    Raises:
      InvalidArgument: it is not a cookie, or belongs to a query with another number of sort keys.
    """
    try:
        values = json.loads(cookie)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not _is_cookie(values) or (keys is not None and len(values) != keys + 1):
        raise InvalidArgument("The paging cookie does not belong to this query. Start again at the first page.")
    return values[0], values[1:]


def _is_cookie(values: list[Any]) -> bool:
    page, *last = values or [None]
    return type(page) is int and 0 < page < _MAX_PAGES and all(map(_is_stored, last))


def _is_stored(value: Any) -> bool:
    """Whether SQLite can store the value."""
    return abs(value) < 2**63 if type(value) is int else not isinstance(value, dict | list)


def page_of(query: Query) -> Page:
    """The page to return: the first one of the largest size when the query names none."""
    if query.top is not None:
        if query.page is not None:
            raise InvalidArgument(f"The Top.Count = {query.top} can't be specified with pagingInfo")
        return Page(min(_positive(query.top, "top"), MAX_PAGE))
    page = query.page or Page(MAX_PAGE)
    number = read_cookie(page.cookie)[0] + 1 if page.cookie is not None else _positive(page.number, "page")
    return Page(min(_positive(page.size, "page size"), MAX_PAGE), number, page.cookie)


def _positive(number: int, name: str) -> int:
    if number < 1:
        raise InvalidArgument(f"The {name} must be 1 or more, not {number}.")
    return number
