"""``GET set?sql=SELECT ...``: rows asked for in SQL, page by page.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/dataverse-sql-query
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dataverse_client.types import EntityCollection
from runner.emulator.metadata.model import Table
from runner.emulator.webapi.exchange import Exchange, json_response
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.paging import SkipToken
from runner.emulator.webapi.query_languages import aliased_values, check_request


def retrieve_multiple(exchange: Exchange, table: Table, text: str) -> Response:
    """Raises BadRequest when the SELECT is not from the URL's table, or what reading it raises."""
    # Only an environment that is asked in SQL pays for the parser.
    from runner.emulator.query.sql import read_sql

    selection = read_sql(text, exchange.schema.metadata)
    query = selection.query
    check_request(exchange, table, query, "sql", accepted=("$skiptoken",))
    token = SkipToken.of(exchange)
    page = None if query.top is not None else token.page(exchange)
    found: EntityCollection = exchange.execute("RetrieveMultiple", Query=replace(query, page=page))[
        "BusinessEntityCollection"
    ]
    rows = [aliased_values(row, selection.names, exchange.preferences) for row in found]
    body: dict[str, Any] = {"@odata.context": exchange.context(table.entity_set_name), "value": rows}
    if found.more_records:
        body["@odata.nextLink"] = token.next_link(exchange, found.paging_cookie)
    return json_response(body)
