"""Writes and reads ``$skiptoken``, the parameter that asks for the next page.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/page-results
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from html import escape, unescape
from urllib.parse import quote, unquote

from runner.emulator.query.model import Page
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.http import MAX_PAGE_SIZE

_SKIP_TOKEN = re.compile(r'<cookie pagenumber="(\d{1,9})" pagingcookie="([^"]*)" istracking="(?:False|(\d{1,18}))"')


@dataclass(frozen=True, slots=True)
class SkipToken:
    """A page and its cookie. ``until`` is the row version up to which change tracking reports changes."""

    number: int = 1
    cookie: str | None = None
    until: int | None = None

    @classmethod
    def of(cls, exchange: Exchange) -> SkipToken:
        """The request's token; without one that of the first page. Raises BadRequest when it is malformed."""
        text = exchange.parameters.get("$skiptoken")
        if text is None:
            return cls()
        match = _SKIP_TOKEN.match(text)
        if match is None:
            raise BadRequest("The $skiptoken is malformed. Use the URL in @odata.nextLink unchanged.")
        number, cookie, until = match.groups()
        return cls(max(1, int(number)), unescape(unquote(cookie)) or None, int(until) if until else None)

    def page(self, exchange: Exchange) -> Page:
        """The page, with the size that the client prefers."""
        return Page(exchange.preferences.max_page_size or MAX_PAGE_SIZE, self.number, self.cookie)

    def next_link(self, exchange: Exchange, cookie: str | None) -> str:
        """The link to the page after this one, on the host the client used."""
        return link(exchange, self.parameter(cookie), without=("$skiptoken",))

    def parameter(self, cookie: str | None) -> str:
        """The query parameter that asks for the page after this one."""
        tracking = "False" if self.until is None else str(self.until)
        cookie = escape(quote(cookie or ""))
        token = f'<cookie pagenumber="{self.number + 1}" pagingcookie="{cookie}" istracking="{tracking}" />'
        return f"$skiptoken={quote(token)}"


def link(exchange: Exchange, added: str, *, without: Collection[str]) -> str:
    """The request's URL with ``added`` at the end of its query string, and ``without`` some parameters."""
    # Clients send spaces and quotes unencoded, but a link must be a valid URL.
    query = quote(exchange.address.query, safe="%$&=+,;:/?@()'*!~-._")
    kept = [part for part in query.split("&") if part and unquote(part.partition("=")[0]) not in without]
    return f"{exchange.address.url}?{'&'.join([*kept, added])}"
