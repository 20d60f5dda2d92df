"""Answers ``GET set?sql=SELECT ...``, page by page.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/sql
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dataverse_client.types import Entity, EntityCollection
from runner.emulator.metadata.model import Table
from runner.emulator.query.model import Query
from runner.emulator.webapi.collection import applied_page_size
from runner.emulator.webapi.exchange import Exchange, json_response
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.paging import SkipToken
from runner.emulator.webapi.query_languages import aliased_values, check_request
from runner.emulator.webapi.representation import etag

_TOTAL = "Microsoft.Dynamics.CRM.totalrecordcount"


def retrieve_multiple(exchange: Exchange, table: Table, text: str) -> Response:
    """Run a SELECT.

    Raises:
      BadRequest: the SELECT is of another table than the URL, or the URL has other query options.
      InvalidArgument: the SELECT is not valid.
    """
    # The import of the parser is slow, and only needed for SQL.
    from runner.emulator.query.sql import read_sql

    selection = read_sql(text, exchange.schema.metadata, exchange.emulator.clock.now())
    query = selection.query
    check_request(exchange, table, query, "sql", accepted=("$skiptoken",))
    token = SkipToken.of(exchange)
    page = None if query.top is not None else token.page(exchange)
    found: EntityCollection = exchange.execute("RetrieveMultiple", Query=replace(query, page=page))[
        "BusinessEntityCollection"
    ]
    body: dict[str, Any] = {"@odata.context": exchange.context(f"{table.entity_set_name}{_shape(table, query)}")}
    if exchange.preferences.wants(_TOTAL):
        body |= {f"@{_TOTAL}": -1, f"@{_TOTAL}limitexceeded": False}
    body["value"] = [_row(exchange, table, row, selection.names) for row in found]
    if found.more_records:
        body["@odata.nextLink"] = token.next_link(exchange, found.paging_cookie)
    return json_response(body, headers=applied_page_size(exchange))


def _shape(table: Table, query: Query) -> str:
    """The columns of the URL's table for ``@odata.context``, if the rows are not aggregates; its id is the last."""
    if query.aggregates or query.group_by or query.distinct:
        return ""
    own = [aliased.column.name for aliased in query.aliased if aliased.column.alias is None]
    return f"({','.join(dict.fromkeys((*own, table.primary_id_attribute)))})"


def _row(exchange: Exchange, table: Table, row: Entity, names: Sequence[str]) -> dict[str, Any]:
    """The selected values, after the ETag and the id if the row is not an aggregate."""
    values = aliased_values(row, names, exchange.preferences)
    if row.id is None:
        return values
    return {"@odata.etag": etag(row), table.primary_id_attribute: row.id, **values}
