"""Converts a JSON body to a row: properties, ``@odata.bind`` lookups, and nested rows.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-entity-web-api
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, guid
from runner.emulator.metadata.model import OneToManyRelationship, Table
from runner.emulator.webapi.faults import BadRequest, InvalidPayload
from runner.emulator.webapi.http import API_PATH
from runner.emulator.webapi.paths import Segment, parse_path
from runner.emulator.webapi.schema import Relationship, Schema

_REFERENCE = re.compile(r"/?(\$[\w-]+)\Z")
_ORIGIN = re.compile(r"https?://[^/]*", re.IGNORECASE)
NAMESPACE = "Microsoft.Dynamics.CRM."
_NO_REFERENCES: Mapping[str, str] = {}


@dataclass(slots=True)
class Payload:
    """A parsed body: the row, the related rows to create before it, and those to create after it."""

    entity: Entity
    lookups: list[tuple[OneToManyRelationship, dict[str, Any]]] = field(default_factory=list)
    collections: list[tuple[Relationship, list[Any]]] = field(default_factory=list)

    @property
    def is_nested(self) -> bool:
        """Whether the body contains related rows."""
        return bool(self.lookups or self.collections)


@dataclass(slots=True)
class PayloadReader:
    """Parses bodies.

    ``resolve`` finds a row by alternate key; ``references`` maps the Content-IDs of a change set to URLs.
    """

    schema: Schema
    resolve: Callable[[EntityReference], EntityReference]
    references: Mapping[str, str]

    def read(self, table: Table, body: Mapping[str, Any]) -> Payload:
        """Parse a body that describes a row.

        Raises:
          InvalidPayload: a property does not exist, or its value has the wrong type.
        """
        payload = Payload(Entity(table.logical_name))
        converters = self.schema.converters(table)
        for name, value in body.items():
            convert = converters.get(name)
            if convert is None:
                self._read_property(payload, table, name, value)
            else:
                payload.entity.attributes[name] = convert(value)
        id = payload.entity.attributes.get(table.primary_id_attribute)
        if id is not None:
            payload.entity.id = id
        return payload

    def _read_property(self, payload: Payload, table: Table, name: str, value: Any) -> None:
        """Parse a property that is not a plain column."""
        if "@" in name:
            if name.endswith("@odata.bind"):
                self._bind(payload, table, name.removesuffix("@odata.bind"), value)
            elif name == "@odata.type":
                _check_type(table, value)
            return
        if name in self.schema.navigation(table).lookups:
            self._read_lookup(payload, table, name, value)
        else:
            self._read_collection(payload, table, name, value)

    def _bind(self, payload: Payload, table: Table, name: str, value: Any) -> None:
        navigation = self.schema.navigation(table)
        relationships = navigation.lookups.get(name)
        if relationships is None and name in navigation.collections and isinstance(value, list):
            payload.collections.append((navigation.collections[name], [{"@odata.id": url} for url in value]))
            return
        if relationships is None:
            raise InvalidPayload.undeclared_bind(table.entity_set_name, name)
        payload.entity[relationships[0].referencing_attribute] = self._bound(table, name, relationships, value)

    def _bound(
        self, table: Table, name: str, relationships: tuple[OneToManyRelationship, ...], value: Any
    ) -> EntityReference | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise InvalidPayload.of(table.entity_set_name, f"'{name}@odata.bind' must be a URL or null.")
        reference = self.reference(value)
        targets = {relationship.referenced_entity for relationship in relationships}
        if reference.logical_name not in targets:
            raise InvalidPayload.of(
                table.entity_set_name,
                f"'{name}' leads to {' or '.join(sorted(targets))}, not to {reference.logical_name}.",
            )
        return self.resolve(reference)

    def _read_lookup(self, payload: Payload, table: Table, name: str, value: Any) -> None:
        relationships = self.schema.navigation(table).lookups[name]
        if value is None:
            payload.entity[relationships[0].referencing_attribute] = None
        elif isinstance(value, dict) and "@odata.id" in value:
            self._bind(payload, table, name, value["@odata.id"])
        elif isinstance(value, dict):
            payload.lookups.append((relationships[0], value))
        else:
            raise InvalidPayload.of(
                table.entity_set_name,
                f"'{name}' is a navigation property: use '{name}@odata.bind', or an object to create.",
            )

    def _read_collection(self, payload: Payload, table: Table, name: str, value: Any) -> None:
        relationship = self.schema.navigation(table).collections.get(name)
        if relationship is not None and isinstance(value, list):
            payload.collections.append((relationship, value))
            return
        column = table.columns.get(name.removeprefix("_").removesuffix("_value"))
        if column is not None and column.is_lookup:
            raise BadRequest(
                "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead. "
                f"'{name}' of '{table.entity_set_name}' is one."
            )
        raise InvalidPayload.undeclared(table.entity_set_name, f"Microsoft.Dynamics.CRM.{table.logical_name}", name)

    def reference(self, url: str) -> EntityReference:
        """The row that a URL, relative or absolute, identifies by id, alternate key or Content-ID.

        Raises:
          BadRequest: the URL does not identify a row.
        """
        content_id = _REFERENCE.match(url)
        if content_id is not None:
            url = self.content_reference(content_id[1])
        path = _ORIGIN.sub("", url)
        segments = parse_path(API_PATH.sub("", path, count=1) if API_PATH.match(path) else path, _NO_REFERENCES)
        if len(segments) != 1 or not segments[0].arguments:
            raise BadRequest(f"'{url}' does not identify a row: use a URL such as /accounts(<id>).")
        return self.key_reference(self.schema.entity_set(segments[0].name), segments[0])

    def content_reference(self, content_id: str) -> str:
        """The URL for a Content-ID such as ``$1``. Raises BadRequest."""
        try:
            return self.references[content_id]
        except KeyError:
            raise BadRequest(f"Content-ID Reference: '{content_id}' does not exist in the batch context.") from None

    def key_reference(self, table: Table, segment: Segment) -> EntityReference:
        """The row identified by the parentheses of a segment. Raises BadRequest."""
        arguments = dict(segment.arguments or {})
        if not arguments:
            raise BadRequest(f"'{segment.name}' needs an id or an alternate key in its parentheses.")
        id = arguments.pop("", None) or arguments.pop(table.primary_id_attribute, None)
        if arguments and id is None:
            return EntityReference(table.logical_name, EMPTY_GUID, key_attributes=self._key(table, arguments))
        try:
            return EntityReference(table.logical_name, guid(id))
        except (TypeError, ValueError):
            raise BadRequest(f"'{id}' is not an id of {segment.name}: it must be a GUID.") from None

    def _key(self, table: Table, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._key_column(table, name, value) for name, value in arguments.items())

    def _key_column(self, table: Table, name: str, value: Any) -> tuple[str, Any]:
        lookup = table.columns.get(name.removeprefix("_").removesuffix("_value"))
        column = lookup if lookup is not None and lookup.is_lookup else table.columns.get(name)
        if column is None:
            raise BadRequest(f"The key '{name}' is not a column of '{table.logical_name}'.")
        if column.is_lookup:
            return column.logical_name, EntityReference(column.targets[0], str(value).lower())
        return name, self.schema.converters(table)[name](value)


def _check_type(table: Table, given: Any) -> None:
    """Raises InvalidPayload when a row says it is of another table."""
    expected = f"{NAMESPACE}{table.logical_name}"
    if not isinstance(given, str) or given.removeprefix("#") != expected:
        raise InvalidPayload.of(
            table.entity_set_name,
            f"A resource with type '{given}' was found, but it is not assignable to the expected type '{expected}'.",
        )
