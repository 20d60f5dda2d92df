"""``$expand``: related rows inside a row. One query per navigation property, however many rows there are.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/join-tables
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dataverse_client.types import Entity, EntityReference
from runner.emulator.metadata.model import OneToManyRelationship, Table
from runner.emulator.query.edm import unknown_property
from runner.emulator.query.model import And, ColumnRef, Condition, Filter, Link, Operator, Query
from runner.emulator.query.odata import ExpandItem, QueryOptions
from runner.emulator.query.odata_binding import ends_of
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.representation import row_writer
from runner.emulator.webapi.schema import Relationship, Schema

#: Dataverse refuses more. Source: as above, "Limit the number of results"
MAX_EXPANDS = 15

#: The alias of an intersect table. No table is called so: names hold no capitals.
_THROUGH = "Through"

_Pairs = Sequence[tuple[Entity, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A navigation property to one row, by its lookup."""

    name: str
    options: QueryOptions
    relationships: tuple[OneToManyRelationship, ...]

    @property
    def column(self) -> str:
        return self.relationships[0].referencing_attribute


@dataclass(frozen=True, slots=True)
class _Collection:
    """A navigation property to many rows, those that refer to a row or are linked to it."""

    name: str
    options: QueryOptions
    relationship: Relationship


@dataclass(frozen=True, slots=True)
class Expansion:
    """The navigation properties of a table that a request expands."""

    exchange: Exchange
    table: Table
    items: tuple[_Lookup | _Collection, ...]

    @classmethod
    def of(cls, exchange: Exchange, table: Table, items: Iterable[ExpandItem]) -> Expansion:
        """Raises ODataError at a name that is no navigation property of the table."""
        found = tuple(_item(exchange.schema, table, item) for item in items)
        if len(found) > MAX_EXPANDS:
            raise BadRequest(f"$expand takes at most {MAX_EXPANDS} navigation properties, not {len(found)}.")
        return cls(exchange, table, found)

    def lookup_columns(self) -> tuple[str, ...]:
        """The columns that must be read to follow the lookups."""
        return tuple(item.column for item in self.items if isinstance(item, _Lookup))

    def fill(self, pairs: _Pairs) -> None:
        """Put the related rows into the JSON objects, each paired with the row it shows."""
        for item in self.items:
            if isinstance(item, _Lookup):
                self._fill_lookup(item, pairs)
            else:
                self._fill_collection(item, pairs)

    def _fill_lookup(self, item: _Lookup, pairs: _Pairs) -> None:
        found: dict[EntityReference, dict[str, Any]] = {}
        references = {value for row, _ in pairs if isinstance(value := row.get(item.column), EntityReference)}
        for target in {reference.logical_name for reference in references}:
            ids = [reference.id for reference in references if reference.logical_name == target]
            table = self.exchange.schema.table(target)
            for row, body in self._read(table, item.options, table.primary_id_attribute, ids):
                found[EntityReference(target, row.id or "")] = body
        for row, body in pairs:
            body[item.name] = found.get(row.get(item.column))

    def _fill_collection(self, item: _Collection, pairs: _Pairs) -> None:
        members: dict[str, list[dict[str, Any]]] = {row.id or "": [] for row, _ in pairs}
        for parent, body in self._members(item.relationship, item.options, list(members)):
            members[parent].append(body)
        for row, body in pairs:
            body[item.name] = list(islice(members[row.id or ""], item.options.top))

    def _members(
        self, relationship: Relationship, options: QueryOptions, ids: list[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The related rows of those with these ``ids``, as JSON, each with the id of the row it is related to."""
        if isinstance(relationship, OneToManyRelationship):
            table = self.exchange.schema.table(relationship.referencing_entity)
            column = relationship.referencing_attribute
            for row, body in self._read(table, options, column, ids):
                yield row[column].id, body
            return
        ends = ends_of(relationship, self.table.logical_name)
        table = self.exchange.schema.table(ends.far_table)
        through = Link(
            relationship.intersect_entity_name,
            ends.far_column,
            table.primary_id_attribute,
            _THROUGH,
            columns=(ends.near_column,),
        )
        for row, body in self._read(table, options, ends.near_column, ids, through):
            yield row[f"{_THROUGH}.{ends.near_column}"].value, body

    def _read(
        self, table: Table, options: QueryOptions, column: str, ids: list[str], through: Link | None = None
    ) -> Iterator[tuple[Entity, dict[str, Any]]]:
        """The rows whose ``column`` holds one of ``ids``, and their JSON, expanded themselves.

        ``through`` is the intersect table whose column it is, if it is not the table's own.
        """
        if not ids:
            return iter(())
        exchange = self.exchange
        writer = row_writer(exchange.schema, table, options.select, exchange.preferences)
        expansion = Expansion.of(exchange, table, options.expand)
        names = None
        if options.select is not None:
            own = () if through else (column,)
            names = tuple(dict.fromkeys((*writer.column_names, *own, *expansion.lookup_columns())))
        held = Condition(ColumnRef(column, _THROUGH if through else None), Operator.IN, tuple(ids))
        question = _query(exchange, table, options, names, held, (through,) if through else ())
        found = exchange.execute("RetrieveMultiple", Query=question)
        rows: list[Entity] = list(found["BusinessEntityCollection"])
        bodies = [writer.write(row) for row in rows]
        expansion.fill(list(zip(rows, bodies, strict=True)))
        return zip(rows, bodies, strict=True)


def _query(
    exchange: Exchange,
    table: Table,
    options: QueryOptions,
    columns: tuple[str, ...] | None,
    where: Filter,
    through: tuple[Link, ...],
) -> Query:
    binder = exchange.binder(table)
    if options.filter is not None:
        where = And((where, binder.filter(options.filter)))
    orders = binder.orders(options.orderby)
    return Query(table.logical_name, columns, where, orders, (*through, *binder.links()))


def _item(schema: Schema, table: Table, item: ExpandItem) -> _Lookup | _Collection:
    name = item.navigation_property
    navigation = schema.navigation(table)
    relationships = navigation.lookups.get(name)
    if relationships is not None:
        return _Lookup(name, item.options, relationships)
    relationship = navigation.collections.get(name)
    if relationship is None:
        raise unknown_property(table, name)
    return _Collection(name, item.options, relationship)
