"""Answers requests below a row: one column, related rows, and the links to them (``$ref``).

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/associate-disassociate-entities-using-web-api
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dataverse_client.types import Entity, EntityReference
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.metadata.ends import ends_of
from runner.emulator.metadata.model import AttributeType, Column, OneToManyRelationship, Table
from runner.emulator.query.edm import column_named, property_name
from runner.emulator.query.model import And, ColumnRef, Condition, Exists, Filter, Link, Operator
from runner.emulator.query.odata import QueryOptions
from runner.emulator.webapi import collection, encoding, files, functions, predefined_queries, records
from runner.emulator.webapi.exchange import NO_CONTENT, Exchange, json_response, text_response
from runner.emulator.webapi.faults import BadRequest, ResourceNotFound
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.paths import Segment
from runner.emulator.webapi.representation import entity_url, plain
from runner.emulator.webapi.schema import Relationship, far_end

_Handlers = Mapping[str, Callable[[], Response]]


def handlers(exchange: Exchange, table: Table, reference: EntityReference, rest: Sequence[Segment]) -> _Handlers:
    """The handlers, by HTTP method, of a path that continues after a row's key. Raises ResourceNotFound."""
    name, tail = rest[0].name, [segment.name for segment in rest[1:]]
    navigation = exchange.schema.navigation(table)
    if rest[0].operation is not None and not tail:
        return dict.fromkeys(("GET", "POST"), lambda: functions.call_on_row(exchange, table, reference, rest[0]))
    column = column_named(table, name)
    if column is not None and tail in ([], ["$value"]):
        return _column_handlers(exchange, table, reference, column, raw=bool(tail))
    if name in navigation.lookups and tail in ([], ["$ref"]):
        return _lookup_handlers(exchange, table, reference, name, is_reference=bool(tail))
    if name in navigation.collections and tail in ([], ["$ref"], ["$count"]):
        relationship = navigation.collections[name]
        return _collection_handlers(exchange, reference, relationship, rest[0], tail)
    raise ResourceNotFound.at(tail[-1] if tail else name)


def _column_handlers(
    exchange: Exchange, table: Table, reference: EntityReference, column: Column, *, raw: bool
) -> _Handlers:
    if column.type is AttributeType.FILE and raw:
        return {"GET": lambda: files.download(exchange, reference, column)}
    if raw:
        return {"GET": lambda: _read_raw(exchange, reference, column)}
    uploads: _Handlers = {"PATCH": lambda: files.upload(exchange, reference, column)}
    return {
        **(uploads if column.type is AttributeType.FILE else {}),
        "GET": lambda: _read_column(exchange, table, reference, column),
        "PUT": lambda: _write(exchange, table, reference, column, exchange.request.json_body()),
        "DELETE": lambda: _write(exchange, table, reference, column, {"value": None}),
    }


def _read(exchange: Exchange, reference: EntityReference, column: Column) -> Any:
    return plain(exchange.retrieve(reference, (column.logical_name,)).get(column.logical_name))


def _read_raw(exchange: Exchange, reference: EntityReference, column: Column) -> Response:
    value = _read(exchange, reference, column)
    if value is None:
        return NO_CONTENT
    return text_response(value if isinstance(value, str) else encoding.dumps(value).decode())


def _read_column(exchange: Exchange, table: Table, reference: EntityReference, column: Column) -> Response:
    value = _read(exchange, reference, column)
    if value is None:
        return NO_CONTENT
    name = property_name(column)
    context = exchange.context(f"{table.entity_set_name}({exchange.resolve(reference).id})/{name}")
    return json_response({"@odata.context": context, "value": value})


def _write(
    exchange: Exchange, table: Table, reference: EntityReference, column: Column, body: Mapping[str, Any]
) -> Response:
    if column.is_lookup or "value" not in body:
        raise BadRequest(f"To set '{column.logical_name}', send {{\"value\": ...}}; for a lookup use its $ref.")
    row = Entity(table.logical_name, exchange.resolve(reference).id)
    row[column.logical_name] = exchange.schema.converters(table)[column.logical_name](body["value"])
    records.update(exchange, row)
    return NO_CONTENT


def _lookup_handlers(
    exchange: Exchange, table: Table, reference: EntityReference, name: str, *, is_reference: bool
) -> _Handlers:
    if not is_reference:
        return {"GET": lambda: _retrieve_related(exchange, table, reference, name)}
    return {
        "GET": lambda: _retrieve_reference(exchange, table, reference, name),
        "PUT": lambda: _set_lookup(exchange, table, reference, name, exchange.request.json_body()),
        "DELETE": lambda: _set_lookup(exchange, table, reference, name, {"@odata.id": None}),
    }


def _related(exchange: Exchange, table: Table, reference: EntityReference, name: str) -> EntityReference | None:
    navigation = exchange.schema.navigation(table)
    column = navigation.lookups[name][0].referencing_attribute
    value = exchange.retrieve(reference, (column,)).get(column)
    leads_there = isinstance(value, EntityReference) and value.logical_name in navigation.targets(name)
    return value if leads_there else None


def _retrieve_related(exchange: Exchange, table: Table, reference: EntityReference, name: str) -> Response:
    related = _related(exchange, table, reference, name)
    if related is None:
        return NO_CONTENT
    return records.retrieve(exchange, exchange.schema.table(related.logical_name), related)


def _retrieve_reference(exchange: Exchange, table: Table, reference: EntityReference, name: str) -> Response:
    related = _related(exchange, table, reference, name)
    if related is None:
        return NO_CONTENT
    url = entity_url(exchange.address.root, exchange.schema.table(related.logical_name), related.id)
    return json_response({"@odata.context": exchange.context("$ref"), "@odata.id": url})


def _set_lookup(
    exchange: Exchange, table: Table, reference: EntityReference, name: str, body: Mapping[str, Any]
) -> Response:
    if "@odata.id" not in body:
        raise BadRequest('A $ref needs {"@odata.id": "<url of the row>"}.')
    row = exchange.reader().read(table, {f"{name}@odata.bind": body["@odata.id"]}).entity
    row.id = exchange.resolve(reference).id
    records.update(exchange, row)
    return NO_CONTENT


def _collection_handlers(
    exchange: Exchange,
    reference: EntityReference,
    relationship: Relationship,
    segment: Segment,
    tail: Sequence[str],
) -> _Handlers:
    if tail == ["$ref"]:
        removing = {"DELETE": lambda: _remove(exchange, reference, relationship, segment)}
        if segment.arguments:
            return removing
        return {
            "GET": lambda: _references(exchange, reference, relationship),
            "POST": lambda: _add(exchange, reference, relationship),
            **removing,
        }
    table = exchange.schema.table(far_end(relationship, reference.logical_name))
    if segment.arguments:
        return {"GET": lambda: _retrieve_member(exchange, table, _members(exchange, reference, relationship), segment)}
    if tail == ["$count"]:
        return {"GET": lambda: collection.count(exchange, table, _members(exchange, reference, relationship))}
    return {
        "GET": lambda: _retrieve_members(exchange, table, _members(exchange, reference, relationship)),
        "POST": lambda: records.create_member(exchange, relationship, exchange.resolve(reference)),
    }


def _members(exchange: Exchange, reference: EntityReference, relationship: Relationship) -> Filter:
    """The filter that the rows related to ``reference`` match."""
    id = exchange.resolve(reference).id
    if isinstance(relationship, OneToManyRelationship):
        return Condition(ColumnRef(relationship.referencing_attribute), Operator.EQUAL, (id,))
    ends = ends_of(relationship, reference.logical_name)
    primary_id = exchange.schema.table(ends.far_table).primary_id_attribute
    where = Condition(ColumnRef(ends.near_column, "members"), Operator.EQUAL, (id,))
    return Exists(Link(relationship.intersect_entity_name, ends.far_column, primary_id, "members", where=where))


def _retrieve_members(exchange: Exchange, table: Table, members: Filter) -> Response:
    for name in predefined_queries.PREDEFINED:
        if name in exchange.parameters:
            return predefined_queries.retrieve_multiple(exchange, table, name, members)
    return collection.retrieve_multiple(exchange, table, members)


def _retrieve_member(exchange: Exchange, table: Table, members: Filter, segment: Segment) -> Response:
    """``GET set(id)/nav(related)``: a row of the collection. Raises ObjectDoesNotExist when it is not in it."""
    member = exchange.resolve(exchange.reader().key_reference(table, segment))
    it = Condition(ColumnRef(table.primary_id_attribute), Operator.EQUAL, (member.id,))
    scope = And((members, it))
    if not collection.query(exchange, table, QueryOptions(), columns=(table.primary_id_attribute,), scope=scope):
        raise ObjectDoesNotExist.of(table.logical_name, member.id)
    return records.retrieve(exchange, table, member)


def _references(exchange: Exchange, reference: EntityReference, relationship: Relationship) -> Response:
    table, scope = (
        exchange.schema.table(far_end(relationship, reference.logical_name)),
        _members(exchange, reference, relationship),
    )
    found = collection.query(exchange, table, QueryOptions(), columns=(table.primary_id_attribute,), scope=scope)
    value = [{"@odata.id": entity_url(exchange.address.root, table, row.id or "")} for row in found]
    return json_response({"@odata.context": exchange.context("Collection($ref)"), "value": value})


def _add(exchange: Exchange, reference: EntityReference, relationship: Relationship) -> Response:
    url = exchange.request.json_body().get("@odata.id")
    if not isinstance(url, str):
        raise BadRequest('A $ref needs {"@odata.id": "<url of the row>"}.')
    records.associate(exchange, relationship, exchange.resolve(reference), exchange.reader().reference(url))
    return NO_CONTENT


def _remove(exchange: Exchange, reference: EntityReference, relationship: Relationship, segment: Segment) -> Response:
    """``DELETE set(id)/nav(related)/$ref``, or ``DELETE set(id)/nav/$ref?$id=<url>``."""
    far = exchange.schema.table(far_end(relationship, reference.logical_name))
    if segment.arguments:
        related = exchange.reader().key_reference(far, segment)
    elif "$id" in exchange.parameters:
        related = exchange.reader().reference(exchange.parameters["$id"])
    else:
        raise BadRequest("Name the row to remove: .../<navigation property>(<id>)/$ref.")
    exchange.execute(
        "Disassociate",
        Target=exchange.resolve(reference),
        Relationship=relationship.schema_name,
        RelatedEntities=[exchange.resolve(related)],
    )
    return NO_CONTENT
