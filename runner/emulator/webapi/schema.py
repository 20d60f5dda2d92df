"""Entity sets and navigation properties of the environment's tables.

A schema is made from the metadata once, and again when the metadata changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from runner.emulator.metadata.ends import ends_of
from runner.emulator.metadata.model import (
    AttributeType,
    Column,
    ManyToManyRelationship,
    Metadata,
    OneToManyRelationship,
    Table,
)
from runner.emulator.query.edm import column_named, unknown_property
from runner.emulator.webapi.column_values import Converter, converters
from runner.emulator.webapi.faults import ResourceNotFound

CURRENCY = "transactioncurrencyid"

#: Both inherit from the entity type ``principal``, whose key is ``ownerid``.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-entitytypes
PRINCIPALS = frozenset({"systemuser", "team"})

Relationship: TypeAlias = OneToManyRelationship | ManyToManyRelationship


def far_end(relationship: Relationship, near: str) -> str:
    """The table at the other end of a collection of the table ``near``."""
    if isinstance(relationship, OneToManyRelationship):
        return relationship.referencing_entity
    return ends_of(relationship, near).far_table


@dataclass(frozen=True, slots=True)
class Navigation:
    """The navigation properties of a table.

    ``lookups`` refer to one row; a lookup of several tables, such as ``ownerid``, can have several relationships
    under one name. ``collections`` refer to many rows.
    """

    lookups: Mapping[str, tuple[OneToManyRelationship, ...]]
    collections: Mapping[str, Relationship]
    names: Mapping[tuple[str, str], str]

    def targets(self, name: str) -> tuple[str, ...]:
        """The tables that a lookup's property leads to; its column may refer to others, by another property."""
        return tuple(relationship.referenced_entity for relationship in self.lookups[name])

    @classmethod
    def of(cls, metadata: Metadata, table: Table) -> Navigation:
        lookups: dict[str, tuple[OneToManyRelationship, ...]] = {}
        names = {}
        for relationship in metadata.many_to_one(table.logical_name):
            name = relationship.referencing_entity_navigation_property_name
            lookups[name] = (*lookups.get(name, ()), relationship)
            names[relationship.referencing_attribute, relationship.referenced_entity] = name
        collections: dict[str, Relationship] = {
            relationship.referenced_entity_navigation_property_name: relationship
            for relationship in metadata.referenced_by(table.logical_name)
        }
        for many in metadata.many_to_many:
            if table.logical_name in (many.entity1_logical_name, many.entity2_logical_name):
                collections[many.schema_name] = many
        return cls(lookups, collections, names)


def always_returned(table: Table, columns: Collection[Column]) -> Iterator[str]:
    """The columns that are always returned with ``columns``.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/select-columns
    """
    if CURRENCY in table.columns and any(column.type is AttributeType.MONEY for column in columns):
        yield CURRENCY
    yield table.primary_id_attribute


class Schema:
    """The tables by entity set, and their navigation properties."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self._navigation: dict[str, Navigation] = {}
        self._converters: dict[str, Mapping[str, Converter]] = {}
        #: The cache of ``representation.row_writer``.
        self.row_writers: dict[Any, Any] = {}
        self._document: tuple[object, bytes] = (None, b"")

    def document(self, facts: object, write: Callable[[], str]) -> bytes:
        """The ``$metadata`` that ``write`` returns. It is kept as long as the ``facts`` are the same."""
        if self._document[0] != facts:
            self._document = (facts, write().encode())
        return self._document[1]

    def table(self, logical_name: str) -> Table:
        return self.metadata.tables[logical_name]

    def entity_set(self, name: str) -> Table:
        """The table of an entity set. Raises ResourceNotFound."""
        table = self.metadata.by_entity_set.get(name)
        if table is None:
            raise ResourceNotFound.at(name)
        return table

    def navigation(self, table: Table) -> Navigation:
        found = self._navigation.get(table.logical_name)
        if found is None:
            found = self._navigation[table.logical_name] = Navigation.of(self.metadata, table)
        return found

    def converters(self, table: Table) -> Mapping[str, Converter]:
        """The functions that convert JSON to column values, by column; lookups have none."""
        found = self._converters.get(table.logical_name)
        if found is None:
            found = self._converters[table.logical_name] = converters(table)
        return found

    def selected(self, table: Table, select: tuple[str, ...] | None) -> tuple[Column, ...]:
        """The columns of a ``$select`` without duplicates, always with the id and, for amounts, the currency.

        Raises:
          ODataError: a name is not a property of the table.
        """
        if select is None:
            return tuple(table.columns.values())
        columns = {column.logical_name: column for column in (self._selected(table, name) for name in select)}
        for name in always_returned(table, columns.values()):
            columns.setdefault(name, table.columns[name])
        return tuple(columns.values())

    def _selected(self, table: Table, name: str) -> Column:
        column = column_named(table, name)
        if column is not None:
            return column
        if name == "ownerid" and table.logical_name in PRINCIPALS:
            return table.columns[table.primary_id_attribute]
        relationships = self.navigation(table).lookups.get(name)
        if relationships is None:
            raise unknown_property(table, name)
        return table.columns[relationships[0].referencing_attribute]
