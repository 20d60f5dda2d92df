"""Routes a request to the handler of its path and method.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-service-documents
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.emulator.metadata.model import Table
from runner.emulator.webapi import (
    change_tracking,
    collection,
    definition_writes,
    definitions,
    fetchxml,
    functions,
    predefined_queries,
    properties,
    records,
    sql,
)
from runner.emulator.webapi.csdl import schema_document
from runner.emulator.webapi.exchange import Exchange, json_response
from runner.emulator.webapi.faults import MethodNotAllowed, ResourceNotFound
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.paths import Segment

_Handlers = Mapping[str, Callable[..., Response]]


def route(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    """Call the handler of a path. Raises ResourceNotFound, MethodNotAllowed, or what the handler raises."""
    if not segments:
        return _dispatch(exchange, {"GET": _service_document}, exchange)
    first = segments[0]
    if first.name.startswith("$") and first.name != "$metadata":
        return _content_reference(exchange, segments)
    if first.name == "$metadata":
        return _dispatch(exchange, {"GET": _schema_document}, exchange)
    if first.name in definitions.ROOTS:
        writes = definition_writes.handlers(exchange, segments)
        return _dispatch(exchange, {"GET": lambda: definitions.answer(exchange, segments), **writes})
    table = exchange.schema.metadata.by_entity_set.get(first.name)
    if table is not None:
        return _answer_of_table(exchange, table, segments)
    if len(segments) == 1 and functions.knows(exchange, first.operation or first.name):
        return functions.call(exchange, first)
    raise ResourceNotFound.at(first.name)


def _dispatch(exchange: Exchange, handlers: _Handlers, *arguments: Any) -> Response:
    """Call the handler of the request's method with ``arguments``. Raises MethodNotAllowed."""
    handler = handlers.get(exchange.request.method.upper())
    if handler is None:
        raise MethodNotAllowed.of(exchange.request.method, exchange.address.path)
    return handler(*arguments)


def _content_reference(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    """``PATCH $1``: a row that an earlier request of the change set wrote."""
    reference = exchange.reader().reference(segments[0].name)
    table = exchange.schema.table(reference.logical_name)
    row = Segment(table.entity_set_name, {"": reference.id})
    return route(exchange, (row, *segments[1:]))


def _answer_of_table(exchange: Exchange, table: Table, segments: Sequence[Segment]) -> Response:
    first, *rest = segments
    if not first.arguments:
        return _answer_of_collection(exchange, table, rest)
    reference = exchange.reader().key_reference(table, first)
    if rest:
        return _dispatch(exchange, properties.handlers(exchange, table, reference, rest))
    return _dispatch(exchange, _ROW, exchange, table, reference)


def _answer_of_collection(exchange: Exchange, table: Table, rest: Sequence[Segment]) -> Response:
    if not rest:
        return _dispatch(exchange, _COLLECTION, exchange, table)
    if len(rest) == 1 and rest[0].name == "$count":
        return _dispatch(exchange, {"GET": _count}, exchange, table)
    if len(rest) == 1 and rest[0].operation is not None:
        return _dispatch(
            exchange, dict.fromkeys(("GET", "POST"), functions.call_on_collection), exchange, table, rest[0]
        )
    raise ResourceNotFound.at(rest[0].name)


def _schema_document(exchange: Exchange) -> Response:
    annotated = exchange.parameters.get("annotations", "").lower() == "true"
    operations = functions.operations(exchange)
    document = exchange.schema.document(
        (annotated, operations), lambda: schema_document(exchange.schema, operations, annotated=annotated)
    )
    return Response(200, {"Content-Type": "application/xml"}, document)


#: The query languages other than OData, by the parameter that holds the query.
_LANGUAGES: Mapping[str, Callable[[Exchange, Table, str], Response]] = {
    "fetchXml": fetchxml.retrieve_multiple,
    "sql": sql.retrieve_multiple,
}


def _retrieve_multiple(exchange: Exchange, table: Table) -> Response:
    for name, answer in _LANGUAGES.items():
        if name in exchange.parameters:
            return answer(exchange, table, exchange.parameters[name])
    for name in predefined_queries.PREDEFINED:
        if name in exchange.parameters:
            return predefined_queries.retrieve_multiple(exchange, table, name)
    if change_tracking.is_tracked(exchange):
        return change_tracking.retrieve_changes(exchange, table)
    return collection.retrieve_multiple(exchange, table)


_ROW: _Handlers = {"GET": records.retrieve, "PATCH": records.update_or_upsert, "DELETE": records.delete}
_COLLECTION: _Handlers = {"GET": _retrieve_multiple, "POST": records.create}


def _count(exchange: Exchange, table: Table) -> Response:
    if change_tracking.is_tracked(exchange):
        return change_tracking.count_changes(exchange, table)
    return collection.count(exchange, table)


def _service_document(exchange: Exchange) -> Response:
    sets = sorted(exchange.schema.metadata.by_entity_set)
    value = [{"name": name, "kind": "EntitySet", "url": name} for name in sets]
    return json_response({"@odata.context": f"{exchange.address.root}/$metadata", "value": value})
