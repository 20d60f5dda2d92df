"""Metadata of tables and relationships, as far as requests depend on it: fetched once, then cached.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query-metadata-web-api
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from dataverse_client.errors import InvalidRequestError, NotFoundError, UnexpectedResponseError
from dataverse_client.exact_json import loads
from dataverse_client.exchange import Answer, Request

_T = TypeVar("_T")

LOOKUP_TYPES = frozenset({"Lookup", "Customer", "Owner"})

_COLUMNS = (
    "?$select=LogicalName,EntitySetName,PrimaryIdAttribute,PrimaryNameAttribute"
    "&$expand=Attributes($select=LogicalName,AttributeType,AttributeTypeName,SchemaName),"
    "ManyToOneRelationships($select=ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName),"
    "Keys($select=LogicalName,KeyAttributes)"
)


@dataclass(frozen=True, slots=True)
class TableMetadata:
    """The part of a table's EntityMetadata that requests and answers depend on.

    ``attribute_types`` maps columns to their AttributeType (``MultiSelectPicklist`` for multi-select choices,
    which the Web API calls Virtual). ``navigation_properties`` maps lookup columns to a navigation property for
    each table they may point at.
    """

    logical_name: str
    entity_set_name: str
    primary_id_attribute: str
    primary_name_attribute: str | None
    attribute_types: Mapping[str, str]
    navigation_properties: Mapping[str, Mapping[str, str]]
    keys: tuple[tuple[str, ...], ...] = ()

    def is_lookup(self, column: str) -> bool:
        return self.attribute_types.get(column) in LOOKUP_TYPES or column in self.navigation_properties

    def property_name(self, column: str) -> str:
        """The name under which the Web API returns, filters and sorts a column."""
        return f"_{column}_value" if self.is_lookup(column) else column

    def navigation_property(self, column: str, target: str | None) -> str:
        """The property that binds ``column`` to a row of ``target`` (None: to nothing).

        Raises:
          InvalidRequestError: the column is no lookup, or cannot point at that table.
        """
        properties = self.navigation_properties.get(column, {})
        if target is not None and target in properties:
            return properties[target]
        # A lookup with one property takes all its targets there: ownerid points at "owner", users and teams alike.
        if len(properties) == 1 or (properties and target is None):
            return next(iter(properties.values()))
        can = f"points at {', '.join(properties)}" if properties else "is not a lookup"
        raise InvalidRequestError(f"{self.logical_name}.{column} cannot refer to {target}: it {can}")


@dataclass(frozen=True, slots=True)
class RelationshipSide:
    """A relationship as one table sees it. ``is_collection`` says that it leads to many rows."""

    navigation_property: str
    is_collection: bool


@dataclass(frozen=True, slots=True)
class RelationshipMetadata:
    """A relationship's sides, by table. Of a relationship within one table, only the side with many rows is kept."""

    schema_name: str
    sides: Mapping[str, RelationshipSide]

    def side(self, logical_name: str) -> RelationshipSide:
        """Raises InvalidRequestError when the relationship does not concern that table."""
        if logical_name not in self.sides:
            raise InvalidRequestError(f"{self.schema_name} relates {' and '.join(self.sides)}, not {logical_name}")
        return self.sides[logical_name]


Tables: TypeAlias = Callable[[str], TableMetadata]


class MetadataCache:
    """Table and relationship metadata by name. Threads may share it; each name is fetched once."""

    def __init__(self, send: Callable[[Request], Answer]) -> None:
        self._send = send
        self._tables: dict[str, TableMetadata] = {}
        self._relationships: dict[str, RelationshipMetadata] = {}
        self._lock = threading.Lock()

    def table(self, logical_name: str) -> TableMetadata:
        """The table with this logical name. Raises InvalidRequestError when the environment has no such table."""
        known = self._tables.get(logical_name)
        if known is not None:
            return known
        with self._lock:
            if logical_name not in self._tables:
                self._tables[logical_name] = self._fetch_table(logical_name)
            return self._tables[logical_name]

    def relationship(self, schema_name: str) -> RelationshipMetadata:
        """The relationship with this schema name. Raises InvalidRequestError when the environment has none."""
        with self._lock:
            if schema_name not in self._relationships:
                self._relationships[schema_name] = self._fetch_relationship(schema_name)
            return self._relationships[schema_name]

    def clear(self) -> None:
        """Empties the cache: call it when a solution was imported or a column added."""
        with self._lock:
            self._tables.clear()
            self._relationships.clear()

    def _fetch_table(self, logical_name: str) -> TableMetadata:
        path = f"EntityDefinitions(LogicalName='{_quoted(logical_name)}')"
        try:
            answer = self._send(Request("GET", path + _COLUMNS)).or_error()
        except NotFoundError as error:
            # Not NotFoundError, which callers take for a missing row.
            raise InvalidRequestError(
                f"Dataverse has no table {logical_name!r}; tables are named by logical name",
                status=error.status,
                code=error.code,
                request=error.request,
                request_id=error.request_id,
            ) from error
        return _read(_read_table, loads(answer))

    def _fetch_relationship(self, schema_name: str) -> RelationshipMetadata:
        path = f"RelationshipDefinitions?$filter=SchemaName%20eq%20'{_quoted(schema_name)}'"
        found = loads(self._send(Request("GET", path)).or_error()).get("value", [])
        if not found:
            raise InvalidRequestError(f"Dataverse has no relationship {schema_name!r}; use its schema name")
        return _read(_read_relationship, found[0])


def _quoted(name: str) -> str:
    return quote(name.replace("'", "''"), safe="'")


def _read(reader: Callable[[Mapping[str, Any]], _T], answer: Mapping[str, Any]) -> _T:
    try:
        return reader(answer)
    except (KeyError, TypeError, AttributeError) as error:
        raise UnexpectedResponseError(f"The metadata of {answer.get('LogicalName')} lacks {error}") from error


def _read_table(answer: Mapping[str, Any]) -> TableMetadata:
    navigation: dict[str, dict[str, str]] = {}
    for relationship in answer.get("ManyToOneRelationships", ()):
        targets = navigation.setdefault(relationship["ReferencingAttribute"], {})
        targets[relationship["ReferencedEntity"]] = relationship["ReferencingEntityNavigationPropertyName"]
    return TableMetadata(
        logical_name=answer["LogicalName"],
        entity_set_name=answer["EntitySetName"],
        primary_id_attribute=answer["PrimaryIdAttribute"],
        primary_name_attribute=answer.get("PrimaryNameAttribute"),
        attribute_types={a["LogicalName"]: _attribute_type(a) for a in answer.get("Attributes", ())},
        navigation_properties=navigation,
        keys=tuple(tuple(key["KeyAttributes"]) for key in answer.get("Keys", ())),
    )


def _attribute_type(attribute: Mapping[str, Any]) -> str:
    name = (attribute.get("AttributeTypeName") or {}).get("Value")
    return "MultiSelectPicklist" if name == "MultiSelectPicklistType" else str(attribute.get("AttributeType"))


def _read_relationship(answer: Mapping[str, Any]) -> RelationshipMetadata:
    if "ReferencedEntity" in answer:
        many = RelationshipSide(answer["ReferencingEntityNavigationPropertyName"], is_collection=False)
        one = RelationshipSide(answer["ReferencedEntityNavigationPropertyName"], is_collection=True)
        sides = {answer["ReferencingEntity"]: many, answer["ReferencedEntity"]: one}
    else:
        sides = {
            answer[f"Entity{n}LogicalName"]: RelationshipSide(answer[f"Entity{n}NavigationPropertyName"], True)
            for n in (2, 1)
        }
    return RelationshipMetadata(answer["SchemaName"], sides)
