"""Answers GET of ``EntityDefinitions``, ``RelationshipDefinitions`` and ``GlobalOptionSetDefinitions``.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query-metadata-web-api
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.emulator.metadata.definition_documents import option_set_document, relationship_documents, table_document
from runner.emulator.metadata.document import Document
from runner.emulator.metadata.model import Metadata
from runner.emulator.query.odata import QueryOptions
from runner.emulator.webapi.documents import render, render_found, walk
from runner.emulator.webapi.exchange import NO_CONTENT, Exchange, json_response
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.paths import Segment


def _tables(metadata: Metadata) -> Sequence[Document]:
    return [table_document(metadata, table) for table in metadata.tables.values()]


def _option_sets(metadata: Metadata) -> Sequence[Document]:
    return [option_set_document(option_set) for option_set in metadata.option_sets.values()]


#: The definitions of each first path segment.
ROOTS: Mapping[str, Callable[[Metadata], Sequence[Document]]] = {
    "EntityDefinitions": _tables,
    "RelationshipDefinitions": relationship_documents,
    "GlobalOptionSetDefinitions": _option_sets,
}


#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query-metadata-web-api
#: names these; the error for other options is that of a live environment.
_OPTIONS = frozenset({"$select", "$filter", "$expand"})


def _options(exchange: Exchange) -> QueryOptions:
    for name in exchange.parameters:
        if name.startswith("$") and name not in _OPTIONS:
            raise BadRequest(f"The query parameter {name} is not supported.")
    return exchange.address.options()


def single(exchange: Exchange, path: str, document: Document) -> dict[str, Any]:
    """One definition as JSON, with the query options applied. Raises ODataError."""
    return {"@odata.context": exchange.context(f"{path}/$entity"), **render(document, _options(exchange))}


def answer(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    """The definitions at a path, with the query options applied. Raises ResourceNotFound or ODataError."""
    start = ROOTS[segments[0].name](exchange.schema.metadata)
    found = walk(start, segments)
    if found is None:
        return NO_CONTENT
    path = "/".join(segment.name for segment in segments)
    if isinstance(found, Document):
        return json_response(single(exchange, path, found))
    options = _options(exchange)
    context = {"@odata.context": exchange.context(path)}
    if isinstance(found, Sequence) and all(isinstance(item, Document) for item in found):
        return json_response({**context, "value": render_found(found, options)})
    return json_response({**context, "value": found})
