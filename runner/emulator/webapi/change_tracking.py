"""Answers requests for changes: first all rows, then only those created, updated or deleted since.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from dataverse_client.types import EntityCollection, EntityReference
from runner.emulator.metadata.model import Table
from runner.emulator.query.model import And, ColumnRef, Condition, Operator, Order, Query
from runner.emulator.query.odata import QueryOptions
from runner.emulator.webapi.collection import refuse_unsupported
from runner.emulator.webapi.exchange import Exchange, json_response, text_response
from runner.emulator.webapi.faults import BadRequest, ChangeTrackingNotEnabled, ExpiredVersionStamp
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.paging import SkipToken, link
from runner.emulator.webapi.representation import row_writer

_DELTA_TOKEN = re.compile(r"(\d{1,18})!(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)\Z")
_DATE = "%m/%d/%Y %H:%M:%S"
_REFUSED = ("filter", "orderby", "expand", "top", "apply")
_VERSION = ColumnRef("versionnumber")


def is_tracked(exchange: Exchange) -> bool:
    """Whether the request asks for changes, by its Prefer header or by a token in its URL."""
    if exchange.preferences.track_changes or "$deltatoken" in exchange.parameters:
        return True
    return SkipToken.of(exchange).until is not None


@dataclass(frozen=True, slots=True)
class _Span:
    """The row versions to report: those above ``since``, up to and including ``until``."""

    since: int
    until: int


def retrieve_changes(exchange: Exchange, table: Table) -> Response:
    """The rows changed since the delta token, or all rows without one. The last page has a deltaLink.

    Raises:
      ChangeTrackingNotEnabled: the table's changes are not tracked.
      ExpiredVersionStamp: the token is too old; a full synchronization is needed.
      BadRequest: change tracking does not support an option, or the token is malformed.
    """
    _check(exchange, table)
    exchange.emulator.follow_changes(table.logical_name)
    options = exchange.address.options()
    token = SkipToken.of(exchange)
    span = _Span(_since(exchange), token.until or _version(exchange))
    found = _changed(exchange, table, options, span, token)
    body: dict[str, Any] = {
        "@odata.context": _context(exchange, table, options),
        "value": _rows(exchange, table, options, found),
    }
    if found.more_records:
        body["@odata.nextLink"] = SkipToken(token.number, token.cookie, span.until).next_link(
            exchange, found.paging_cookie
        )
    else:
        body["value"] += _deletions(exchange, table, span)
        body["@odata.deltaLink"] = _delta_link(exchange, span.until)
    return json_response(body, headers={"Preference-Applied": "odata.track-changes"})


def count_changes(exchange: Exchange, table: Table) -> Response:
    """``GET set/$count?$deltatoken=...``: how many rows are new, updated or deleted."""
    _check(exchange, table)
    span = _Span(_since(exchange), _version(exchange))
    found = _changed(exchange, table, QueryOptions(select=(table.primary_id_attribute,)), span, None)
    return text_response(str(len(found) + len(_deletions(exchange, table, span))))


def _check(exchange: Exchange, table: Table) -> None:
    if not table.change_tracking_enabled:
        raise ChangeTrackingNotEnabled(f"Entity: {table.logical_name} isn't enabled for change tracking")
    for name in _REFUSED:
        if f"${name}" in exchange.parameters:
            raise BadRequest(f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.')
    refuse_unsupported(exchange.parameters)


def _version(exchange: Exchange) -> int:
    """The current row version: all changes up to it are committed, and later commits have greater versions."""
    with exchange.emulator.reading() as rows:
        return rows.version


def _since(exchange: Exchange) -> int:
    """The row version of the client's last synchronization; 0 when there was none."""
    token = exchange.parameters.get("$deltatoken")
    if token is None:
        return 0
    match = _DELTA_TOKEN.match(token)
    if match is None:
        raise BadRequest("The $deltatoken is malformed. Use the URL in @odata.deltaLink unchanged.")
    try:
        given = datetime.strptime(match[2], _DATE).replace(tzinfo=UTC)
    except ValueError:
        raise BadRequest(f"The $deltatoken holds '{match[2]}', which is not a date.") from None
    if exchange.emulator.clock.now() - given > _lifetime(exchange):
        raise ExpiredVersionStamp
    return int(match[1])


def _lifetime(exchange: Exchange) -> timedelta:
    organization = EntityReference("organization", exchange.emulator.organization.organization_id)
    row = exchange.retrieve(organization, ("expirechangetrackingindays",))
    return timedelta(days=row.get("expirechangetrackingindays", 7))


def _changed(
    exchange: Exchange, table: Table, options: QueryOptions, span: _Span, token: SkipToken | None
) -> EntityCollection:
    writer = row_writer(exchange.schema, table, options.select, exchange.preferences)
    after = Condition(_VERSION, Operator.GREATER_THAN, (span.since,))
    before = Condition(_VERSION, Operator.LESS_EQUAL, (span.until,))
    question = Query(
        table.logical_name,
        writer.column_names,
        And((after, before)),
        (Order(_VERSION),),
        page=token.page(exchange) if token else None,
    )
    found: EntityCollection = exchange.execute("RetrieveMultiple", Query=question)["BusinessEntityCollection"]
    return found


def _rows(exchange: Exchange, table: Table, options: QueryOptions, found: EntityCollection) -> list[dict[str, Any]]:
    writer = row_writer(exchange.schema, table, options.select, exchange.preferences)
    return [writer.write(row) for row in found]


def _deletions(exchange: Exchange, table: Table, span: _Span) -> list[dict[str, Any]]:
    if span.since == 0:
        # A first synchronization does not report deleted rows.
        return []
    context = exchange.context(f"{table.entity_set_name}/$deletedEntity")
    with exchange.emulator.reading() as rows:
        ids = rows.deleted(table.logical_name, span.since, span.until)
    return [{"@odata.context": context, "id": id, "reason": "deleted"} for id in ids]


def _context(exchange: Exchange, table: Table, options: QueryOptions) -> str:
    selected = f"({','.join(options.select)})" if options.select else ""
    delta = "/$delta" if "$deltatoken" in exchange.parameters else ""
    return exchange.context(f"{table.entity_set_name}{selected}{delta}")


def _delta_link(exchange: Exchange, version: int) -> str:
    token = f"{version}!{exchange.emulator.clock.now().strftime(_DATE)}"
    return link(exchange, f"$deltatoken={quote(token, safe='')}", without=("$deltatoken", "$skiptoken"))
