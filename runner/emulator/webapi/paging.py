"""Pages of an answer: the ``$skiptoken`` in the link to the next one.

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
    """Which page, and where it begins. ``until`` is the row version up to which changes are being told."""

    number: int = 1
    cookie: str | None = None
    until: int | None = None

    @classmethod
    def of(cls, exchange: Exchange) -> SkipToken:
        """The request's; of the first page when it has none. Raises BadRequest when it is not one of ours."""
        text = exchange.parameters.get("$skiptoken")
        if text is None:
            return cls()
        match = _SKIP_TOKEN.match(text)
        if match is None:
            raise BadRequest("The $skiptoken is not one this service gave. Follow @odata.nextLink as it is.")
        number, cookie, until = match.groups()
        return cls(max(1, int(number)), unescape(unquote(cookie)) or None, int(until) if until else None)

    def page(self, exchange: Exchange) -> Page:
        """The page, of the size the client prefers."""
        return Page(exchange.preferences.max_page_size or MAX_PAGE_SIZE, self.number, self.cookie)

    def next_link(self, exchange: Exchange, cookie: str | None) -> str:
        """The link to the page after this one, on the host the client used."""
        return link(exchange, self.parameter(cookie), without=("$skiptoken",))

    def parameter(self, cookie: str | None) -> str:
        """The parameter that asks for the page after this one."""
        tracking = "False" if self.until is None else str(self.until)
        cookie = escape(quote(cookie or ""))
        token = f'<cookie pagenumber="{self.number + 1}" pagingcookie="{cookie}" istracking="{tracking}" />'
        return f"$skiptoken={quote(token)}"


def link(exchange: Exchange, added: str, *, without: Collection[str]) -> str:
    """The request's own URL with ``added`` at the end of its query string, and some parameters left out."""
    # Clients send spaces and quotes raw; a link to follow must be a well-formed URL.
    query = quote(exchange.address.query, safe="%$&=+,;:/?@()'*!~-._")
    kept = [part for part in query.split("&") if part and unquote(part.partition("=")[0]) not in without]
    return f"{exchange.address.url}?{'&'.join([*kept, added])}"
