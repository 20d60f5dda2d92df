"""Answers ``GET set?fetchXml=...``: rows, columns of linked tables and aggregates.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/retrieve-data
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dataverse_client.types import Entity, EntityCollection, FetchExpression
from runner.emulator.metadata.model import Table
from runner.emulator.query.fetchxml import counting, read_fetch
from runner.emulator.query.fetchxml_paging import paging_annotation
from runner.emulator.query.model import And, Filter, Query
from runner.emulator.webapi.exchange import Exchange, json_response
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.query_languages import aliased_values, aliases_of, check_request
from runner.emulator.webapi.representation import RowWriter
from runner.emulator.webapi.schema import always_returned

_CRM = "Microsoft.Dynamics.CRM."
#: Counts stop here. Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/count-rows
MAX_COUNT = 5000


def retrieve_multiple(exchange: Exchange, table: Table, xml: str, scope: Filter | None = None) -> Response:
    """Run a FetchXML query, limited to the rows that match ``scope``.

    Raises:
      BadRequest: the query is of another table than the URL, or the URL has other query options.
      InvalidArgument: the FetchXML is not valid.
    """
    if exchange.parameters.get("$count", "").lower() == "true":
        xml = counting(xml)
    # Parsed here to know the shape of its rows. The message gets the text, which its plug-ins would see.
    query = read_fetch(xml, exchange.schema.metadata, exchange.viewpoint())
    check_request(exchange, table, query, "fetchXml", accepted=("$count",))
    question = FetchExpression(xml) if scope is None else replace(query, where=And((scope, query.where or And())))
    found: EntityCollection = exchange.execute("RetrieveMultiple", Query=question)["BusinessEntityCollection"]
    write = _writer(exchange, table, query)
    body: dict[str, Any] = {"@odata.context": exchange.context(table.entity_set_name)}
    if query.count:
        body["@odata.count"] = min(found.total_record_count, MAX_COUNT)
    return json_response({**body, **_annotations(exchange, query, found), "value": [write(row) for row in found]})


def _writer(exchange: Exchange, table: Table, query: Query) -> Callable[[Entity], dict[str, Any]]:
    preferences = exchange.preferences
    if query.aggregates or query.group_by:
        return lambda row: aliased_values(row, aliases_of(row), preferences)
    # OData returns names as formatted values instead of virtual columns.
    asked = table.columns if query.columns is None else query.columns
    columns = {name: table.columns[name] for name in asked if name in table.columns}
    if not query.distinct:
        columns |= {name: table.columns[name] for name in always_returned(table, columns.values())}
    writer = RowWriter.of(columns.values(), exchange.schema.navigation(table), preferences)
    return lambda row: {**_present(writer.write(row)), **aliased_values(row, aliases_of(row), preferences)}


def _present(row: dict[str, Any]) -> dict[str, Any]:
    """The row without null properties, which FetchXML, unlike OData, leaves out.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/retrieve-and-execute-predefined-queries
    """
    return {name: value for name, value in row.items() if value is not None}


def _annotations(exchange: Exchange, query: Query, found: EntityCollection) -> dict[str, Any]:
    """The annotations the client asked for. The last page has no cookie and no ``morerecords``."""
    wants = exchange.preferences.wants
    annotations: dict[str, Any] = {}
    if query.count:
        annotations["totalrecordcount"] = min(found.total_record_count, MAX_COUNT)
        annotations["totalrecordcountlimitexceeded"] = found.total_record_count > MAX_COUNT
    if found.more_records:
        annotations["fetchxmlpagingcookie"] = paging_annotation(found.paging_cookie or "")
        annotations["morerecords"] = True
    return {f"@{_CRM}{name}": value for name, value in annotations.items() if wants(f"{_CRM}{name}")}
