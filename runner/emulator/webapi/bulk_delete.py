"""The action ``BulkDelete``: a system job that deletes all rows that its queries return.

The job is done before the response is sent. As in Dataverse, rows that cannot be deleted are counted.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/delete-data-bulk
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.errors import OrganizationServiceFault
from runner.emulator.query.model import Query
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.query_expression import read_query_expression

_BULK_DELETE = OptionSetValue(13)
_COMPLETED, _SUCCEEDED, _FAILED = OptionSetValue(3), OptionSetValue(30), OptionSetValue(31)


def bulk_delete(exchange: Exchange, body: dict[str, Any]) -> dict[str, Any]:
    """Delete the rows, and return the id of the job. Raises BadRequest when a query is malformed."""
    queries = body.get("QuerySet")
    if not isinstance(queries, list) or not queries:
        raise BadRequest("BulkDelete needs QuerySet, a list of query expressions.")
    read = [read_query_expression(exchange.schema.metadata, query) for query in queries]
    outcomes = [_delete(exchange, reference) for query in read for reference in _found(exchange, query)]
    return {"JobId": _record_job(exchange, str(body.get("JobName") or "Bulk delete")[:200], outcomes)}


def _found(exchange: Exchange, query: Query) -> list[EntityReference]:
    rows = exchange.execute("RetrieveMultiple", Query=query)["BusinessEntityCollection"]
    return [EntityReference(query.entity_name, row.id) for row in rows]


def _delete(exchange: Exchange, reference: EntityReference) -> str | None:
    """Delete a row. Returns why it could not be deleted, or None when it was."""
    try:
        exchange.execute("Delete", Target=reference)
    except OrganizationServiceFault as fault:
        return fault.message
    return None


def _record_job(exchange: Exchange, name: str, outcomes: list[str | None]) -> str:
    failures = [outcome for outcome in outcomes if outcome is not None]
    columns = {
        "name": name,
        "operationtype": _BULK_DELETE,
        "statecode": _COMPLETED,
        "statuscode": _FAILED if failures else _SUCCEEDED,
        "message": "\n".join([f"{len(outcomes) - len(failures)} rows deleted, {len(failures)} not.", *failures[:20]]),
    }
    id: str = exchange.execute("Create", Target=Entity("asyncoperation", attributes=columns))["id"]
    return id
