"""A QueryExpression that OData has no form for, such as one with links, as a request in FetchXML.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/retrieve-data
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from dataverse_client.errors import InvalidRequestError, UnexpectedResponseError
from dataverse_client.exact_json import JsonObject, rows
from dataverse_client.exchange import Request, prefer
from dataverse_client.fetchxml import write_fetch
from dataverse_client.metadata import TableMetadata, Tables
from dataverse_client.query import MAX_PAGE, ODATA_OPERATORS, is_topped, query_string
from dataverse_client.types import (
    AliasedValue,
    ConditionExpression,
    Entity,
    EntityCollection,
    EntityReference,
    FilterExpression,
    JoinOperator,
    LinkEntity,
    PagingInfo,
    QueryExpression,
)
from dataverse_client.webapi import FORMATTED_VALUE, LOOKUP_LOGICAL_NAME, decode_entity, encode_value, quoted

_MORE_RECORDS = "@Microsoft.Dynamics.CRM.morerecords"
_PAGING_COOKIE = "@Microsoft.Dynamics.CRM.fetchxmlpagingcookie"
_TOTAL_RECORD_COUNT = "@Microsoft.Dynamics.CRM.totalrecordcount"


def needs_fetchxml(query: QueryExpression) -> bool:
    """Whether the query has a link, compares columns, wants distinct rows or has an operator that OData lacks."""
    return query.distinct or any(True for _ in query.named_links()) or any(map(_is_beyond_odata, _conditions(query)))


def _is_beyond_odata(condition: ConditionExpression) -> bool:
    has_form = condition.operator in ODATA_OPERATORS
    return not has_form or condition.compare_columns or condition.entity_name is not None


def fetch_request(query: QueryExpression, table: TableMetadata) -> Request:
    """The GET for a page of ``query``: that of its number, or the one its ``paging_cookie`` leads to.

    Raises:
      InvalidRequestError: a condition's value has no form in FetchXML, or the cookie is not one of such a page.
    """
    for condition in _conditions(query):
        for value in condition.values:
            _check(value, condition.attribute_name)
    fetch = write_fetch(query if is_topped(query) else _paged(query))
    return Request("GET", table.entity_set_name + query_string(iter([("fetchXml", fetch)])), prefer())


def _conditions(query: QueryExpression) -> Iterator[ConditionExpression]:
    filters = [query.criteria, *(link.link_criteria for _, link in query.named_links())]
    while filters:
        criteria: FilterExpression = filters.pop()
        yield from criteria.conditions
        filters += criteria.filters


def _check(value: Any, column: str) -> None:
    if value is None:
        raise InvalidRequestError(f"{column}: find rows without a value with ConditionOperator.NULL, not by comparing")
    if isinstance(value, str):
        quoted(value, column)
    elif not isinstance(value, EntityReference):
        encode_value(value, column)


# --- pages ------------------------------------------------------------------------------------------------------


def _paged(query: QueryExpression) -> QueryExpression:
    """The query with a page in place of a number of rows, and the page that its cookie leads to."""
    page = query.page_info or PagingInfo(count=MAX_PAGE)
    page = replace(page, count=min(page.count, query.top_count or page.count))
    if page.paging_cookie is not None:
        number, cookie = _read_cookie(page.paging_cookie)
        page = replace(page, page_number=number, paging_cookie=cookie)
    return replace(query, top_count=None, page_info=page)


def _read_cookie(annotation: str) -> tuple[int, str | None]:
    """The number of the next page, and the cookie in it, which is encoded twice."""
    number = re.search(r'pagenumber="(\d+)"', annotation)
    if number is None:
        raise InvalidRequestError(f"{annotation[:100]!r} is not the paging_cookie of a page of this query")
    cookie = re.search(r'pagingcookie="([^"]+)"', annotation)
    return int(number[1]), unquote(unquote(cookie[1])) if cookie else None


def _next_page(content: JsonObject, query: QueryExpression) -> str | None:
    """The annotation that leads to the next page; None on the last.

    Raises:
      UnexpectedResponseError: it leads to the page it is of, so reading on would never end.
    """
    if not content.get(_MORE_RECORDS):
        return None
    page = query.page_info or PagingInfo()
    number = _read_cookie(page.paging_cookie)[0] if page.paging_cookie else page.page_number
    annotation: str = content.get(_PAGING_COOKIE) or f'<cookie pagenumber="{number + 1}" />'
    if annotation == page.paging_cookie:
        raise UnexpectedResponseError(f"Page {number} leads to itself, so the others cannot be reached")
    return annotation


# --- rows -------------------------------------------------------------------------------------------------------


def read_fetched(content: JsonObject, query: QueryExpression, tables: Tables) -> EntityCollection:
    """The page of rows in an answer, with the columns of links as aliased values.

    Raises:
      UnexpectedResponseError: there are no rows, a value is not of its column's type, or the page leads to itself.
    """
    links = dict(query.named_links())
    cookie = _next_page(content, query)
    return EntityCollection(
        [_decode(row, query, links, tables) for row in rows(content)],
        entity_name=query.entity_name,
        more_records=cookie is not None,
        paging_cookie=cookie,
        total_record_count=content.get(_TOTAL_RECORD_COUNT, -1),
    )


def _decode(row: Mapping[str, Any], query: QueryExpression, links: Mapping[str, LinkEntity], tables: Tables) -> Entity:
    entity = decode_entity(row, tables(query.entity_name))
    for key in entity:
        alias, _, column = key.rpartition(".")
        link = links.get(alias) if alias else _first_row_link(key, links)
        if link is not None:
            entity[key] = _aliased(key, column.lower(), row, tables(link.link_to_entity_name))
    return entity


def _first_row_link(key: str, links: Mapping[str, LinkEntity]) -> LinkEntity | None:
    """The link to a first matching row whose column has that schema name, as such columns come without an alias."""
    if key.islower():
        return None
    for link in links.values():
        is_first = link.join_operator is JoinOperator.MATCH_FIRST_ROW_USING_CROSS_APPLY
        if is_first and (link.columns is None or key.lower() in link.columns):
            return link
    return None


def _aliased(key: str, column: str, row: Mapping[str, Any], table: TableMetadata) -> AliasedValue:
    name = table.property_name(column)
    suffixes = ("", LOOKUP_LOGICAL_NAME, FORMATTED_VALUE)
    own = {name + suffix: row[key + suffix] for suffix in suffixes if key + suffix in row}
    return AliasedValue(table.logical_name, column, decode_entity(own, table)[column])
