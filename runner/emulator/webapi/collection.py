"""Answers GET of an entity set: query options, pages and counts.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/overview
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dataverse_client.types import EntityCollection
from runner.emulator.metadata.model import Table
from runner.emulator.query.model import And, Filter, Page, Query
from runner.emulator.query.odata import QueryOptions, parse_options
from runner.emulator.query.odata_apply import bind_apply, parse_apply
from runner.emulator.webapi.contexts import selection
from runner.emulator.webapi.exchange import Exchange, json_response, text_response
from runner.emulator.webapi.expansion import Expansion
from runner.emulator.webapi.faults import BadRequest, NotImplementedHere
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.paging import SkipToken
from runner.emulator.webapi.representation import FORMATTED_VALUE, aliased_row, row_writer

#: Counts stop here. Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/count-rows
MAX_COUNT = 5000

_OPTIONS = frozenset(
    {"$select", "$filter", "$orderby", "$expand", "$top", "$count", "$apply", "$skiptoken", "$deltatoken"}
)
#: The options that apply to the groups of an ``$apply``.
_BESIDE_APPLY = frozenset({"$apply", "$orderby", "$top"})
_NOT_HERE = ("fetchXml", "sql")


def retrieve_multiple(exchange: Exchange, table: Table, scope: Filter | None = None) -> Response:
    """The rows of a table that match ``scope`` and the query options."""
    refuse_unsupported(exchange.parameters)
    options = _options(exchange)
    if options.apply is not None:
        _refuse_beside_apply(exchange.parameters)
        return _aggregate(exchange, table, options.apply, options)
    page = _page(exchange, options)
    expansion = Expansion.of(exchange, table, options.expand)
    writer = row_writer(exchange.schema, table, options.shown, exchange.preferences)
    needed = None if options.select is None else (*writer.column_names, *expansion.lookup_columns())
    found = query(exchange, table, options, columns=needed, page=page, scope=scope)
    rows = [writer.write(row) for row in found]
    expansion.fill(list(zip(found, rows, strict=True)))
    return _answer(exchange, table, options, found, rows, page)


def _options(exchange: Exchange) -> QueryOptions:
    options = exchange.address.options()
    if options.top is not None and exchange.preferences.max_page_size is not None:
        # Dataverse ignores $top when a page size is given.
        # Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/page-results
        return replace(options, top=None)
    return options


def query(
    exchange: Exchange,
    table: Table,
    options: QueryOptions,
    *,
    columns: tuple[str, ...] | None,
    page: Page | None = None,
    scope: Filter | None = None,
) -> EntityCollection:
    """Query the rows that ``options`` ask for. Raises OrganizationServiceFault."""
    binder = exchange.binder(table)
    where = binder.filter(options.filter) if options.filter is not None else None
    both = And((scope, where)) if scope is not None and where is not None else scope or where
    question = Query(
        table.logical_name,
        columns,
        both,
        binder.orders(options.orderby),
        binder.links(),
        top=options.top,
        page=page,
        count=options.count,
    )
    found: EntityCollection = exchange.execute("RetrieveMultiple", Query=question)["BusinessEntityCollection"]
    return found


def _refuse_beside_apply(parameters: Mapping[str, str]) -> None:
    for name in parameters:
        if name in _OPTIONS and name not in _BESIDE_APPLY:
            raise NotImplementedHere(
                f"{name} together with $apply is not supported by the embedded Dataverse. Rows are filtered by a "
                "filter(...) in the $apply."
            )


def _aggregate(exchange: Exchange, table: Table, apply: str, options: QueryOptions) -> Response:
    transformation = parse_apply(apply, exchange.parameters)
    question = bind_apply(exchange.binder(table), transformation, table.logical_name, options.orderby)
    question = replace(question, top=options.top)
    found: EntityCollection = exchange.execute("RetrieveMultiple", Query=question)["BusinessEntityCollection"]
    formatted = exchange.preferences.wants(FORMATTED_VALUE)
    rows = [aliased_row(row, formatted=formatted) for row in found]
    return json_response({"@odata.context": exchange.context(table.entity_set_name), "value": rows})


def count(exchange: Exchange, table: Table, scope: Filter | None = None) -> Response:
    """``GET set/$count``: the number of rows as plain text."""
    refuse_unsupported(exchange.parameters)
    options = parse_options({**exchange.parameters, "$count": "true"})
    found = query(exchange, table, options, columns=(table.primary_id_attribute,), page=Page(1), scope=scope)
    return text_response(str(min(found.total_record_count, MAX_COUNT)))


def refuse_unsupported(parameters: Mapping[str, str]) -> None:
    """Raises BadRequest for the first system query option that Dataverse does not support."""
    for name in _NOT_HERE:
        if name in parameters:
            raise NotImplementedHere(f"{name} is not supported by the embedded Dataverse.")
    for name in parameters:
        if name.startswith("$") and name not in _OPTIONS:
            raise BadRequest(f"The query parameter {name} is not supported.")


def _page(exchange: Exchange, options: QueryOptions) -> Page | None:
    return SkipToken.of(exchange).page(exchange) if options.top is None else None


def _answer(
    exchange: Exchange,
    table: Table,
    options: QueryOptions,
    found: EntityCollection,
    rows: list[dict[str, Any]],
    page: Page | None,
) -> Response:
    body: dict[str, Any] = {"@odata.context": exchange.context(f"{table.entity_set_name}{selection(options)}")}
    if options.count:
        body["@odata.count"] = min(found.total_record_count, MAX_COUNT)
    if exchange.preferences.wants("Microsoft.Dynamics.CRM.totalrecordcount"):
        total = min(found.total_record_count, MAX_COUNT)
        body["@Microsoft.Dynamics.CRM.totalrecordcount"] = total
        body["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] = found.total_record_count > MAX_COUNT
    body["value"] = rows
    if page is not None and found.more_records:
        body["@odata.nextLink"] = SkipToken.of(exchange).next_link(exchange, found.paging_cookie)
    return json_response(body, headers=applied_page_size(exchange))


def applied_page_size(exchange: Exchange) -> dict[str, str]:
    """The Preference-Applied header with the page size; no header when the client asked for none."""
    size = exchange.preferences.max_page_size
    return {} if size is None else {"Preference-Applied": f"odata.maxpagesize={size}"}
