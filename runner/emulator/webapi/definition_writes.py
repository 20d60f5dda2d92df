"""Creates, updates and deletes tables, columns, keys, relationships and choices through their definitions.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-definitions-using-web-api
Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-relationships-using-web-api
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.emulator.metadata.definition_documents import relationship_documents
from runner.emulator.metadata.document import Document
from runner.emulator.metadata.model import Metadata
from runner.emulator.webapi.definition_payloads import (
    column_changes,
    column_description,
    customer_description,
    key_description,
    lookup_description,
    many_to_many_description,
    option_set_changes,
    option_set_description,
    relationship_changes,
    table_changes,
    table_description,
)
from runner.emulator.webapi.definitions import ROOTS, single
from runner.emulator.webapi.documents import walk
from runner.emulator.webapi.exchange import NO_CONTENT, Exchange, json_response
from runner.emulator.webapi.faults import BadRequest, ReferencedComponent
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.paths import Segment, parse_path

_Handlers = Mapping[str, Callable[[], Response]]


def handlers(exchange: Exchange, segments: Sequence[Segment]) -> _Handlers:
    """The handlers of a path to definitions, by HTTP method."""
    segments = [segment for segment in segments if segment.operation is None]  # type casts are ignored
    match [(segment.name, bool(segment.arguments)) for segment in segments]:
        case [("EntityDefinitions", False)]:
            return {"POST": lambda: _create_table(exchange)}
        case [("EntityDefinitions", True)]:
            return {
                "PUT": lambda: _update_table(exchange, segments),
                "DELETE": lambda: _delete_table(exchange, segments),
            }
        case [("EntityDefinitions", True), ("Attributes", False)]:
            return {"POST": lambda: _create_column(exchange, segments)}
        case [("EntityDefinitions", True), ("Attributes", True)]:
            return {
                "PUT": lambda: _update_column(exchange, segments),
                "DELETE": lambda: _delete_column(exchange, segments),
            }
        case [("EntityDefinitions", True), ("Keys", False)]:
            return {"POST": lambda: _create_key(exchange, segments)}
        case [("EntityDefinitions", True), ("Keys", True)]:
            return {"DELETE": lambda: _delete_key(exchange, segments)}
        case [("RelationshipDefinitions", False)]:
            return {"POST": lambda: _create_relationship(exchange)}
        case [("RelationshipDefinitions", True)]:
            return {
                "PUT": lambda: _update_relationship(exchange, segments),
                "DELETE": lambda: _delete_relationship(exchange, segments),
            }
        case [("GlobalOptionSetDefinitions", False)]:
            return {"POST": lambda: _create_option_set(exchange)}
        case [("GlobalOptionSetDefinitions", True)]:
            return {
                "PUT": lambda: _update_option_set(exchange, segments),
                "DELETE": lambda: _delete_option_set(exchange, segments),
            }
    return {}


def _metadata(exchange: Exchange) -> Metadata:
    """The current metadata, which a handler may have changed since its exchange began."""
    return exchange.emulator.metadata


def _found(exchange: Exchange, segments: Sequence[Segment]) -> Mapping[str, Any]:
    """The values of the definition at a path. Raises ResourceNotFound."""
    found = walk(ROOTS[segments[0].name](_metadata(exchange)), segments)
    if not isinstance(found, Document):
        raise BadRequest(f"'{exchange.address.path}' is not the path of a single definition.")
    return found.values


def _created(exchange: Exchange, path: str) -> Response:
    headers = {"OData-EntityId": f"{exchange.address.root}/{path}"}
    if not exchange.preferences.return_representation:
        return Response(204, headers)
    segments = parse_path(path, {})
    created: Any = walk(ROOTS[segments[0].name](_metadata(exchange)), segments)
    body = single(exchange, "/".join(each.name for each in segments), created)
    return json_response(body, 201, {**headers, "Preference-Applied": "return=representation"})


def _create_table(exchange: Exchange) -> Response:
    description = table_description(exchange.request.json_body())
    with exchange.emulator.customizing() as customizations:
        table = customizations.create_table(description)
    return _created(exchange, f"EntityDefinitions({table.metadata_id})")


def create_tables(exchange: Exchange, body: Mapping[str, Any]) -> None:
    """The action ``CreateEntities``: create all the tables, or none of them. Raises BadRequest."""
    definitions = body.get("Entities")
    if not isinstance(definitions, list) or not definitions:
        raise BadRequest("CreateEntities needs Entities, a list of definitions.")
    descriptions = [table_description(definition) for definition in definitions]
    with exchange.emulator.customizing() as customizations:
        for description in descriptions:
            customizations.create_table(description)


def create_customer_column(exchange: Exchange, body: Mapping[str, Any]) -> dict[str, Any]:
    """The action ``CreateCustomerRelationships``: create a customer column. Raises BadRequest.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/createcustomerrelationships
    """
    table, name, description = customer_description(body)
    with exchange.emulator.customizing() as customizations:
        customizations.create_column(table, name, description)
    metadata = _metadata(exchange)
    relationships = [each for each in metadata.many_to_one(table) if each.referencing_attribute == name]
    return {
        "AttributeId": metadata.tables[table].columns[name].metadata_id,
        "RelationshipIds": [each.metadata_id for each in relationships],
    }


def _update_table(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    table = _found(exchange, segments)
    changes = table_changes(exchange.request.json_body())
    if table["ChangeTrackingEnabled"] and changes.get("change_tracking") is False:
        # Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
        raise BadRequest(f"Change tracking of {table['LogicalName']} is enabled and cannot be disabled.")
    with exchange.emulator.customizing() as customizations:
        customizations.update_table(table["LogicalName"], changes)
    return NO_CONTENT


def _delete_table(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    table = _found(exchange, segments)
    name = table["LogicalName"]
    dependents = sum(step.entity == name for step in exchange.emulator.steps)
    if dependents:
        raise ReferencedComponent.of("Entity", table["MetadataId"], dependents)
    with exchange.emulator.customizing() as customizations:
        customizations.delete_table(name)
    return NO_CONTENT


def _create_column(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    table = _found(exchange, segments[:1])
    name, body = column_description(exchange.request.json_body())
    with exchange.emulator.customizing() as customizations:
        customizations.create_column(table["LogicalName"], name, body)
    column = _metadata(exchange).tables[table["LogicalName"]].columns[name]
    return _created(exchange, f"EntityDefinitions({table['MetadataId']})/Attributes({column.metadata_id})")


def _update_column(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    column = _found(exchange, segments)
    changes = column_changes(exchange.request.json_body())
    with exchange.emulator.customizing() as customizations:
        customizations.update_column(column["EntityLogicalName"], column["LogicalName"], changes)
    return NO_CONTENT


def _delete_column(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    column = _found(exchange, segments)
    dependents = _steps_naming(exchange, column["EntityLogicalName"], column["LogicalName"])
    if dependents:
        raise ReferencedComponent.of("Attribute", column["MetadataId"], dependents)
    with exchange.emulator.customizing() as customizations:
        customizations.delete_column(column["EntityLogicalName"], column["LogicalName"])
    return NO_CONTENT


def _steps_naming(exchange: Exchange, table: str, column: str) -> int:
    """How many steps and images of the table use the column."""
    steps = [step for step in exchange.emulator.steps if step.entity == table]
    images = [image for step in steps for image in step.images]
    return sum(column in step.filtering_attributes for step in steps) + sum(
        column in (image.columns or ()) for image in images
    )


def reactivate_key(exchange: Exchange, body: Mapping[str, Any]) -> None:
    """The action ``ReactivateEntityKey``: try again to create a key that failed.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/reactivateentitykey
    """
    with exchange.emulator.customizing() as customizations:
        customizations.reactivate_key(str(body.get("EntityLogicalName")), str(body.get("EntityKeyLogicalName")))


def _create_key(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    table = _found(exchange, segments[:1])
    name, body = key_description(exchange.request.json_body())
    with exchange.emulator.customizing() as customizations:
        customizations.create_key(table["LogicalName"], name, body)
    (id,) = [
        key.metadata_id for key in _metadata(exchange).tables[table["LogicalName"]].keys if key.logical_name == name
    ]
    return _created(exchange, f"EntityDefinitions({table['MetadataId']})/Keys({id})")


def _delete_key(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    key = _found(exchange, segments)
    with exchange.emulator.customizing() as customizations:
        customizations.delete_key(key["EntityLogicalName"], key["LogicalName"])
    return NO_CONTENT


def _create_relationship(exchange: Exchange) -> Response:
    body = exchange.request.json_body()
    with exchange.emulator.customizing() as customizations:
        if str(body.get("@odata.type")).endswith("ManyToManyRelationshipMetadata"):
            customizations.create_many_to_many(*many_to_many_description(body))
        else:
            customizations.create_column(*lookup_description(body))
    created = [
        d.values for d in relationship_documents(_metadata(exchange)) if d.values["SchemaName"] == body["SchemaName"]
    ]
    return _created(exchange, f"RelationshipDefinitions({created[-1]['MetadataId']})")


def _update_relationship(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    found = _found(exchange, segments)
    changes = relationship_changes(exchange.request.json_body())
    if found["RelationshipType"] == "OneToManyRelationship":
        with exchange.emulator.customizing() as customizations:
            customizations.update_column(found["ReferencingEntity"], found["ReferencingAttribute"], changes)
    return NO_CONTENT


def _delete_relationship(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    """Delete a relationship; a one-to-many relationship is deleted with its lookup."""
    found = _found(exchange, segments)
    with exchange.emulator.customizing() as customizations:
        if found["RelationshipType"] == "ManyToManyRelationship":
            customizations.delete_many_to_many(found["Entity1LogicalName"], found["SchemaName"])
        else:
            customizations.delete_column(found["ReferencingEntity"], found["ReferencingAttribute"])
    return NO_CONTENT


# --- global choices -------------------------------------------------------------------------------------------


def _create_option_set(exchange: Exchange) -> Response:
    name, body = option_set_description(exchange.request.json_body())
    with exchange.emulator.customizing() as customizations:
        created = customizations.create_option_set(name, body)
    return _created(exchange, f"GlobalOptionSetDefinitions({created.metadata_id})")


def _update_option_set(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    """Change the names of a global choice. Its options are changed by actions."""
    found = _found(exchange, segments)
    changes = option_set_changes(exchange.request.json_body())
    with exchange.emulator.customizing() as customizations:
        customizations.update_option_set(found["Name"], changes)
    return NO_CONTENT


def _delete_option_set(exchange: Exchange, segments: Sequence[Segment]) -> Response:
    found = _found(exchange, segments)
    with exchange.emulator.customizing() as customizations:
        customizations.delete_option_set(found["Name"])
    return NO_CONTENT
