"""The paging cookie of FetchXML: XML around the query model's own cookie.

    <cookie page="1"><accountid last="WzEsIC4uLl0=" /></cookie>

The Web API wraps it once more, encoded twice; clients decode it and send the inner cookie back.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/page-results
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import quote

from runner.emulator.errors import InvalidArgument
from runner.emulator.query.fetchxml_elements import number, parse_xml
from runner.emulator.query.paging import read_cookie


def write_fetch_cookie(cookie: str, primary_id: str) -> str:
    """The query model's ``cookie``, for a table with that primary id column."""
    # Encoded, because some clients swap the quotes of what they send back.
    encoded = base64.urlsafe_b64encode(cookie.encode()).decode()
    return f'<cookie page="{read_cookie(cookie)[0]}"><{primary_id} last="{encoded}" /></cookie>'


def read_fetch_cookie(cookie: str, page: int | None) -> str | None:
    """The query model's cookie, when it leads to page ``page``; None when that page is to be counted off.

    Raises:
      InvalidArgument: it is no cookie of :func:`write_fetch_cookie`.
    """
    element = parse_xml(cookie, "paging cookie")
    ended = number(element, "page")
    if page is not None and ended is not None and page != ended + 1:
        return None
    try:
        return base64.urlsafe_b64decode(element[0].get("last", "")).decode()
    except (IndexError, binascii.Error, ValueError):
        raise InvalidArgument("The paging cookie does not belong to this query. Start at the first page.") from None


def paging_annotation(cookie: str) -> str:
    """``Microsoft.Dynamics.CRM.fetchxmlpagingcookie``: the next page's number and the cookie of the page before."""
    page = number(parse_xml(cookie, "paging cookie"), "page") or 0
    encoded = quote(quote(cookie, safe=""), safe="")
    return f'<cookie pagenumber="{page + 1}" pagingcookie="{encoded}" istracking="False" />'
