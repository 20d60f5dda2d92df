"""Resolves the table and column names of a FetchXML query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.emulator.errors import AttributeNotFound, EntityNotFound
from runner.emulator.metadata.model import Column, Metadata, Table
from runner.emulator.query.fetchxml_elements import INVALID_LINK_TYPE, alias_of, choice, refusal, required
from runner.emulator.query.link_types import FILTER_LINKS, JOINS, SEMI_JOINS
from runner.emulator.query.model import ColumnRef
from runner.emulator.query.name_columns import queried_column

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def link_type(element: Element) -> str:
    return choice(element, "link-type", "inner", SEMI_JOINS | FILTER_LINKS | JOINS.keys(), INVALID_LINK_TYPE)


@dataclass(frozen=True, slots=True)
class Source:
    """The table of an ``entity`` or ``link-entity`` element. ``alias`` is None for the query's own table."""

    table: Table
    alias: str | None

    def column(self, name: str) -> Column:
        """Raises AttributeNotFound."""
        column = queried_column(self.table, name)
        if column is None:
            raise AttributeNotFound.named(self.table.logical_name, name)
        return column

    def ref(self, name: str) -> ColumnRef:
        """Raises AttributeNotFound."""
        return ColumnRef(self.column(name).logical_name, self.alias)


class Sources:
    """All sources of one query. They are collected first, because conditions may name a link that comes later."""

    def __init__(self, entity: Element, metadata: Metadata) -> None:
        self.entity = entity
        self._metadata = metadata
        self._sources = {entity: Source(self._table(entity), None)}
        self._parents = {child: parent for parent in entity.iter() for child in parent}
        self._named: dict[str, Source] = {}
        for position, link in enumerate(entity.iter("link-entity"), 1):
            self._declare(link, position)

    def _table(self, element: Element) -> Table:
        name = required(element, "name")
        if name not in self._metadata.tables:
            raise EntityNotFound.named(name)
        return self._metadata.tables[name]

    def _declare(self, link: Element, position: int) -> None:
        table, alias = self._table(link), alias_of(link)
        source = self._sources[link] = Source(table, alias or f"{table.logical_name}{position}")
        # A name that is one link's alias and another's table means the alias.
        if alias:
            self._named[alias] = source
        else:
            self._named.setdefault(table.logical_name, source)

    def of(self, element: Element) -> Source:
        return self._sources[element]

    def parent(self, link: Element) -> Source:
        """The source that a link is joined to; filters may lie between them."""
        element = self._parents[link]
        while element not in self._sources:
            element = self._parents[element]
        return self._sources[element]

    def named(self, name: str, code: int) -> Source:
        """The link with that alias or table name. Raises InvalidArgument with ``code``."""
        source = self._named.get(name)
        if source is None:
            raise refusal(code, f"No link-entity of the query has the name or alias '{name}'.")
        return source

    def joined(self) -> Iterator[Element]:
        """The elements of the entity and its joined tables, each before those nested in it."""
        waiting = [self.entity]
        while waiting:
            element = waiting.pop()
            yield element
            waiting += reversed([link for link in element.findall("link-entity") if link_type(link) in JOINS])
