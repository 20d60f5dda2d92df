"""Adds related rows for ``$expand``, with one query for each navigation property whatever the number of rows.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/join-tables
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from dataverse_client.types import Entity, EntityReference
from runner.emulator.metadata.ends import ends_of
from runner.emulator.metadata.model import OneToManyRelationship, Table
from runner.emulator.query.edm import property_name, unknown_property
from runner.emulator.query.model import And, ColumnRef, Condition, Filter, Link, Operator, Query
from runner.emulator.query.odata import ExpandItem, QueryOptions
from runner.emulator.query.odata_syntax import ODataError
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.paging import SkipToken
from runner.emulator.webapi.representation import entity_url, row_writer
from runner.emulator.webapi.schema import Relationship, far_end

#: The most that Dataverse accepts. Source: as above, "Limit the number of results"
MAX_EXPANDS = 15

#: The alias of an intersect table. No table has that name, as names have no capitals.
_THROUGH = "Through"

_Pairs = Sequence[tuple[Entity, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A navigation property to one row, through a lookup."""

    name: str
    options: QueryOptions
    is_reference: bool
    column: str
    #: The tables it leads to. The column may refer to other tables, which other properties lead to.
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Collection:
    """A navigation property to many rows: those that refer to a row or are associated with it."""

    name: str
    options: QueryOptions
    query: str
    relationship: Relationship


@dataclass(slots=True)
class Expansion:
    """The navigation properties of a table that a request expands.

    ``page_size`` is the most rows of a collection that are included. There is no limit unless expansions are nested.
    """

    exchange: Exchange
    table: Table
    items: tuple[_Lookup | _Collection, ...]
    page_size: int | None = None
    nested: bool = False

    @classmethod
    def of(cls, exchange: Exchange, table: Table, items: Sequence[ExpandItem], *, nested: bool = False) -> Expansion:
        """Bind the items of an ``$expand``. Raises ODataError for an unknown navigation property."""
        if not items:
            return cls(exchange, table, ())
        if len(items) > MAX_EXPANDS:
            raise BadRequest(f"$expand takes at most {MAX_EXPANDS} navigation properties, not {len(items)}.")
        nested = nested or any(item.options.expand for item in items)
        found = tuple(_item(exchange, table, item, nested) for item in items)
        return cls(exchange, table, found, exchange.preferences.max_page_size if nested else None, nested)

    def lookup_columns(self) -> tuple[str, ...]:
        """The lookup columns that the rows must be read with."""
        return tuple(item.column for item in self.items if isinstance(item, _Lookup))

    def fill(self, pairs: _Pairs) -> None:
        """Add the related rows to the JSON objects, each of which is paired with its row."""
        for item in self.items:
            if isinstance(item, _Lookup):
                self._fill_lookup(item, pairs)
            else:
                self._fill_collection(item, pairs)

    def _fill_lookup(self, item: _Lookup, pairs: _Pairs) -> None:
        found: dict[EntityReference | None, dict[str, Any]] = {}
        references = {value for row, _ in pairs if isinstance(value := row.get(item.column), EntityReference)}
        for target in {reference.logical_name for reference in references}.intersection(item.targets):
            if item.is_reference:
                found |= {each: self._address(each) for each in references if each.logical_name == target}
                continue
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
            held = members[row.id or ""]
            body[item.name] = list(islice(held, item.options.top or self.page_size))
            body[f"{item.name}@odata.nextLink"] = self._next_link(item, row, len(held))

    def _address(self, reference: EntityReference) -> dict[str, Any]:
        table = self.exchange.schema.table(reference.logical_name)
        return {"@odata.id": entity_url(self.exchange.address.root, table, reference.id)}

    def _next_link(self, item: _Collection, row: Entity, count: int) -> str:
        """The URL of the collection, or of its second page if it has several."""
        options = [item.query] if item.query else []
        if self.page_size is not None and count >= self.page_size:
            options.append(SkipToken().parameter(None))
        url = f"{entity_url(self.exchange.address.root, self.table, row.id or '')}/{item.name}"
        return f"{url}?{'&'.join(options)}" if options else url

    def _members(
        self, relationship: Relationship, options: QueryOptions, ids: list[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The rows related to those with these ``ids`` as JSON, each with the id of the row it is related to."""
        if isinstance(relationship, OneToManyRelationship):
            table = self.exchange.schema.table(relationship.referencing_entity)
            column = relationship.referencing_attribute
            if options.select is not None and not self.nested:
                # The rows of a simple expansion include their lookup to the parent, those of a nested one do not.
                options = replace(options, select=(*options.select, property_name(table.columns[column])))
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
        """The rows whose ``column`` holds one of ``ids``, with their JSON, in which nested ``$expand`` is applied.

        ``through`` is the intersect table that has the column, in a many-to-many relationship.
        """
        if not ids:
            return iter(())
        exchange = self.exchange
        writer = row_writer(exchange.schema, table, options.select, exchange.preferences)
        expansion = Expansion.of(exchange, table, options.expand, nested=True)
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


def _item(exchange: Exchange, table: Table, item: ExpandItem, nested: bool) -> _Lookup | _Collection:
    name, options = item.navigation_property, item.options
    navigation = exchange.schema.navigation(table)
    relationships, relationship = navigation.lookups.get(name), navigation.collections.get(name)
    if relationships is None and relationship is None:
        raise unknown_property(table, name)
    if (relationships is not None or nested) and (options.orderby or options.top is not None):
        raise ODataError(
            "Only $select and $filter clause can be provided while doing $expand on many-to-one relationship or "
            "nested one-to-many relationship."
        )
    if relationships is not None:
        targets = navigation.targets(name)
        _check_one(exchange, targets, options)
        return _Lookup(name, options, item.is_reference, relationships[0].referencing_attribute, targets)
    if item.is_reference or relationship is None:
        raise ODataError("Expand with $ref is only supported on lookup type navigation property.")
    _check(exchange, far_end(relationship, table.logical_name), options)
    return _Collection(name, options, item.query, relationship)


def _check_one(exchange: Exchange, tables: Sequence[str], options: QueryOptions) -> None:
    """Check the options of a lookup of several tables: they must fit one of them."""
    for table in tables[:-1]:
        try:
            return _check(exchange, table, options)
        except ODataError:
            continue
    return _check(exchange, tables[-1], options)


def _check(exchange: Exchange, logical_name: str, options: QueryOptions) -> None:
    """Raises ODataError for a mistake in the options of an expanded table, even if no row is expanded."""
    table = exchange.schema.table(logical_name)
    exchange.schema.selected(table, options.select)
    binder = exchange.binder(table)
    if options.filter is not None:
        binder.filter(options.filter)
    binder.orders(options.orderby)
    Expansion.of(exchange, table, options.expand, nested=True)
