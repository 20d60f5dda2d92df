"""Creates, retrieves, updates, upserts and deletes one row, with ETags.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/perform-conditional-operations-using-web-api
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference
from runner.emulator.errors import ConcurrencyVersionMismatch, DuplicateRecord, ObjectDoesNotExist
from runner.emulator.metadata.model import OneToManyRelationship, Table
from runner.emulator.query.odata import QueryOptions
from runner.emulator.webapi.contexts import selection
from runner.emulator.webapi.exchange import NO_CONTENT, Exchange, json_response
from runner.emulator.webapi.expansion import Expansion
from runner.emulator.webapi.faults import BadRequest, InvalidPayload
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.payload import Payload
from runner.emulator.webapi.representation import entity_url, etag, row_writer
from runner.emulator.webapi.schema import Relationship, far_end

_ROW_VERSION_MATCHES = "IfRowVersionMatches"


def create(exchange: Exchange, table: Table) -> Response:
    _check_representation(exchange, table)
    payload = exchange.reader().read(table, exchange.request.json_body())
    return _created(exchange, table, payload)


def _created(exchange: Exchange, table: Table, payload: Payload) -> Response:
    if payload.is_nested:
        with exchange.transaction():
            id = _create_with_related(exchange, payload)
    else:
        id = _create_alone(exchange, payload)
    return _written(exchange, table, id, created=True)


def _create_alone(exchange: Exchange, payload: Payload) -> str:
    id: str = exchange.execute("Create", Target=payload.entity).get("id", EMPTY_GUID)
    return id


def _create_with_related(exchange: Exchange, payload: Payload) -> str:
    """Create the row, after the rows its lookups refer to and before the rows of its collections."""
    for relationship, body in payload.lookups:
        related = exchange.reader().read(exchange.schema.table(relationship.referenced_entity), body)
        reference = EntityReference(relationship.referenced_entity, _create_with_related(exchange, related))
        payload.entity[relationship.referencing_attribute] = reference
    id = _create_alone(exchange, payload)
    _create_collections(exchange, payload, EntityReference(payload.entity.logical_name, id))
    return id


def _create_collections(exchange: Exchange, payload: Payload, parent: EntityReference) -> None:
    for relationship, bodies in payload.collections:
        for body in bodies:
            if not isinstance(body, dict):
                raise InvalidPayload(f"The rows of '{relationship.schema_name}' must be JSON objects.")
            _create_member(exchange, relationship, parent, body)


def _create_member(exchange: Exchange, relationship: Relationship, parent: EntityReference, body: Any) -> str:
    """Create a row of a collection, or add an existing one: ``{"@odata.id": url}``. Returns its id."""
    if "@odata.id" in body:
        member = exchange.resolve(exchange.reader().reference(str(body["@odata.id"])))
        associate(exchange, relationship, parent, member)
        return member.id
    payload = exchange.reader().read(exchange.schema.table(far_end(relationship, parent.logical_name)), body)
    if isinstance(relationship, OneToManyRelationship):
        payload.entity[relationship.referencing_attribute] = parent
        return _create_with_related(exchange, payload)
    related = EntityReference(payload.entity.logical_name, _create_with_related(exchange, payload))
    associate(exchange, relationship, parent, related)
    return related.id


def create_member(exchange: Exchange, relationship: Relationship, parent: EntityReference) -> Response:
    """``POST set(id)/collection``: create a row of the collection."""
    table = exchange.schema.table(far_end(relationship, parent.logical_name))
    _check_representation(exchange, table)
    with exchange.transaction():
        id = _create_member(exchange, relationship, parent, exchange.request.json_body())
    return _written(exchange, table, id, created=True)


def associate(
    exchange: Exchange, relationship: Relationship, parent: EntityReference, related: EntityReference
) -> None:
    exchange.execute(
        "Associate",
        Target=parent,
        Relationship=relationship.schema_name,
        RelatedEntities=[exchange.resolve(related)],
    )


def retrieve(exchange: Exchange, table: Table, reference: EntityReference) -> Response:
    options = exchange.address.options()
    writer = row_writer(exchange.schema, table, options.shown, exchange.preferences)
    expansion = Expansion.of(exchange, table, options.expand)
    needed = None if options.select is None else (*writer.column_names, *expansion.lookup_columns())
    row = exchange.retrieve(reference, needed)
    tag = etag(row)
    if tag is not None and exchange.request.header("if-none-match") == tag and _is_conditional(exchange, options):
        return Response(304)
    body = writer.write(row)
    expansion.fill([(row, body)])
    context = exchange.context(f"{table.entity_set_name}{selection(options)}/$entity")
    return json_response({"@odata.context": context, **body}, headers={"ETag": tag} if tag else None)


def _is_conditional(exchange: Exchange, options: QueryOptions) -> bool:
    """Whether If-None-Match applies: the response depends on the row alone, so its ETag identifies it."""
    return not options.expand and not exchange.preferences.include_annotations


def update_or_upsert(exchange: Exchange, table: Table, reference: EntityReference) -> Response:
    """PATCH: an update with If-Match, a create with If-None-Match: *, otherwise an upsert."""
    _check_representation(exchange, table)
    payload = exchange.reader().read(table, exchange.request.json_body())
    if payload.is_nested:
        return _deep_upsert(exchange, table, reference, payload)
    target = _addressed(payload.entity, reference)
    if exchange.request.header("if-match") is not None:
        return _update(exchange, table, target)
    if exchange.request.header("if-none-match") == "*":
        _refuse_existing(exchange, reference)
    results = exchange.execute("Upsert", Target=target)
    return _written(exchange, table, results["Target"].id, created=results["RecordCreated"])


def _deep_upsert(exchange: Exchange, table: Table, reference: EntityReference, payload: Payload) -> Response:
    """Upsert with related rows in the body. As these are created, the row itself must not exist yet."""
    if exchange.request.header("if-match") is not None or _exists(exchange, reference):
        raise BadRequest("Deep update of navigation properties is not allowed. Update the related rows themselves.")
    target = _addressed(payload.entity, reference)
    target.attributes = {**target.key_attributes, **target.attributes}
    target.key_attributes = {}
    return _created(exchange, table, payload)


def _addressed(entity: Entity, reference: EntityReference) -> Entity:
    """``entity`` with the id or key of the URL, whatever the body contains."""
    if reference.key_attributes:
        entity.key_attributes = dict(reference.key_attributes)
        entity.id = None
    else:
        entity.id = reference.id
    return entity


def _update(exchange: Exchange, table: Table, target: Entity) -> Response:
    if target.id is None:
        target.id = exchange.resolve(target.to_entity_reference()).id
        target.key_attributes = {}
    update(exchange, target)
    return _written(exchange, table, target.id, created=False)


def update(exchange: Exchange, target: Entity) -> None:
    """Update a row. Raises ConcurrencyVersionMismatch when it is not at the version in If-Match."""
    target.row_version = _row_version(exchange)
    if target.row_version is None:
        exchange.execute("Update", Target=target)
    else:
        exchange.execute("Update", Target=target, ConcurrencyBehavior=_ROW_VERSION_MATCHES)


def refuse_other_version(exchange: Exchange, row: EntityReference) -> None:
    """Raises ConcurrencyVersionMismatch when the row is not at the version in If-Match."""
    expected = _row_version(exchange)
    if expected is not None:
        primary_id = exchange.schema.table(row.logical_name).primary_id_attribute
        if etag(exchange.retrieve(row, (primary_id,))) != f'W/"{expected}"':
            raise ConcurrencyVersionMismatch


def _row_version(exchange: Exchange) -> str | None:
    """The version in If-Match; None without If-Match, or for any version (``*``)."""
    header = exchange.request.header("if-match")
    if header is None or header.strip() == "*":
        return None
    return header.strip().removeprefix("W/").strip('"')


def _refuse_existing(exchange: Exchange, reference: EntityReference) -> None:
    if _exists(exchange, reference):
        raise DuplicateRecord("A record with matching key values already exists.")


def _exists(exchange: Exchange, reference: EntityReference) -> bool:
    try:
        exchange.retrieve(reference, (exchange.schema.table(reference.logical_name).primary_id_attribute,))
    except ObjectDoesNotExist:
        return False
    return True


def delete(exchange: Exchange, table: Table, reference: EntityReference) -> Response:
    found = exchange.resolve(reference)
    version = _row_version(exchange)
    if version is None:
        exchange.execute("Delete", Target=EntityReference(table.logical_name, found.id))
    else:
        target = EntityReference(table.logical_name, found.id, row_version=version)
        exchange.execute("Delete", Target=target, ConcurrencyBehavior=_ROW_VERSION_MATCHES)
    return NO_CONTENT


def _check_representation(exchange: Exchange, table: Table) -> None:
    """Raises ODataError, before anything is written, when the row could not be returned as the options ask."""
    if exchange.preferences.return_representation:
        options = exchange.address.options()
        exchange.schema.selected(table, options.shown)
        Expansion.of(exchange, table, options.expand)


def _written(exchange: Exchange, table: Table, id: str, *, created: bool) -> Response:
    url = entity_url(exchange.address.root, table, id)
    headers = {"OData-EntityId": url, "Location": url} if created else {"OData-EntityId": url}
    if not exchange.preferences.return_representation:
        return Response(204, headers)
    answer = retrieve(exchange, table, EntityReference(table.logical_name, id or EMPTY_GUID))
    applied = {"Preference-Applied": "return=representation"}
    return Response(201 if created else 200, {**answer.headers, **headers, **applied}, answer.body)
