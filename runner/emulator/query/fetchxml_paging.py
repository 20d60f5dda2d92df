"""Writes and reads the paging cookies of FetchXML: XML that contains the query model's cookie.

    <cookie page="1"><accountid last="WzEsIC4uLl0=" /></cookie>

The Web API puts that into another XML element, URL-encoded twice; clients decode it and send the inner cookie back.
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
    """The FetchXML cookie for the query model's ``cookie``, for a table with that primary id column."""
    # Encoded, because some clients replace the quotes of a cookie they send back.
    encoded = base64.urlsafe_b64encode(cookie.encode()).decode()
    return f'<cookie page="{read_cookie(cookie)[0]}"><{primary_id} last="{encoded}" /></cookie>'


def read_fetch_cookie(cookie: str, page: int | None) -> str | None:
    """The query model's cookie in a FetchXML cookie; None unless it leads to page ``page``.

    Raises:
      InvalidArgument: the cookie was not made by :func:`write_fetch_cookie`.
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
    """The annotation ``Microsoft.Dynamics.CRM.fetchxmlpagingcookie``: the number of the next page, and the cookie."""
    page = number(parse_xml(cookie, "paging cookie"), "page") or 0
    encoded = quote(quote(cookie, safe=""), safe="")
    return f'<cookie pagenumber="{page + 1}" pagingcookie="{encoded}" istracking="False" />'
