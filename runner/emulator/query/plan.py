"""Runs a query of the model on SQLite, and turns the result into entities.

A page is found by the sort keys of the row before it. If links multiply rows, or the query is distinct, rows have no
such keys, and the rows before the page are skipped instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dataverse_client.types import AliasedValue, Entity, EntityCollection
from runner.emulator.metadata.model import Metadata, Table
from runner.emulator.query.aggregates import run_aggregates
from runner.emulator.query.conditions import join, where
from runner.emulator.query.hierarchies import child_count
from runner.emulator.query.model import AliasedColumn, ColumnRef, Link, Query
from runner.emulator.query.name_columns import name_column
from runner.emulator.query.paging import (
    EVERYTHING,
    MAX_PAGE,
    Segment,
    SortKey,
    order_by,
    page_of,
    read_cookie,
    segments_after,
    write_cookie,
)
from runner.emulator.query.reader import Reader
from runner.emulator.query.scope import Scope, comparable
from runner.emulator.query.sorting import sort_sql
from runner.emulator.storage.store import Store

#: A constant to group by, which makes one group of all rows; a number would stand for a column.
_ONE_GROUP = "''"


def run_query(store: Store, query: Query) -> EntityCollection:
    """Run a query. Returns the requested page of rows, without formatted values.

    Raises:
      InvalidArgument: (one of its kinds) a table, column, operator, value or cookie is wrong; the message names it.
    """
    if query.aggregates or query.group_by:
        return run_aggregates(store, query)
    return _Plan(store, query).run()


class _Plan:
    """The SQL of one query: its columns, tables, order and page."""

    def __init__(self, store: Store, query: Query) -> None:
        self._store = store
        self._query = query
        self._scope = Scope(store)
        table, source = self._scope.add(query.entity_name, None)
        joins = "".join(join(self._scope, link, None) for link in query.links)
        condition = where(self._scope, query.where)
        self._from = f'FROM "{table.logical_name}" AS {source}{joins} WHERE {condition}'
        shown = [name for name in query.columns or () if name_column(table, name)]
        stored = query.columns and tuple(name for name in query.columns if name not in shown)
        self._reader = Reader(store, table, stored, source, keyed=not query.distinct)
        self._shown = [_AliasedColumn(self._scope, AliasedColumn(ColumnRef(name), name)) for name in shown]
        self._aliased = [_AliasedColumn(self._scope, aliased) for aliased in _aliased_columns(store.metadata, query)]
        self._counted_off = query.distinct or any(_multiplies(store.metadata, link) for link in _all_links(query.links))
        self._keys = [SortKey(sort_sql(self._scope, order), order.descending) for order in query.orders]
        if not query.distinct:
            # Ties are in order of creation, in the direction of the last order, so that one index serves both.
            descending = bool(self._keys) and self._keys[-1].descending
            self._keys.append(SortKey(f"{source}.rowid", descending))
        self._page = page_of(query)
        #: Makes one row of those whose values are equal. SQL's DISTINCT would tell texts apart that Dataverse does not.
        self._group_by = f" GROUP BY {', '.join(self._values(table)) or _ONE_GROUP}" if query.distinct else ""

    def _values(self, table: Table) -> Iterator[str]:
        """The SQL that compares each column of the result."""
        for (name, _), sql in zip(self._reader.decoders, self._reader.select, strict=True):
            yield comparable(table.columns[name], sql)
        for each in (*self._shown, *self._aliased):
            yield each.compared

    def run(self) -> EntityCollection:
        size = self._page.size
        rows = self._rows(size + 1)
        more = len(rows) > size and self._query.top is None
        answer = EntityCollection([self._entity(row) for row in rows[:size]], self._query.entity_name, more)
        if more:
            last = () if self._counted_off else rows[size - 1][-len(self._keys) :]
            answer.paging_cookie = write_cookie(self._page.number, last)
        if self._query.count:
            answer.total_record_count = self._count()
        return answer

    def _rows(self, limit: int) -> list[tuple[Any, ...]]:
        page = self._page
        if page.cookie is None or self._counted_off:
            return self._fetch(EVERYTHING, limit, self._query.offset + (page.number - 1) * page.size)
        rows: list[tuple[Any, ...]] = []
        for segment in segments_after(self._keys, read_cookie(page.cookie, len(self._keys))[1]):
            rows += self._fetch(segment, limit - len(rows))
            if len(rows) == limit:
                break
        return rows

    def _fetch(self, segment: Segment, limit: int, offset: int = 0) -> list[tuple[Any, ...]]:
        order = f" ORDER BY {order_by(self._keys)}" if self._keys else ""
        sql = f"{self._select} {self._from} AND {segment.sql}{self._group_by}{order} LIMIT ? OFFSET ?"
        return self._store.execute(sql, (*self._scope.parameters, *segment.parameters, limit, offset)).fetchall()

    @property
    def _select(self) -> str:
        keys = () if self._query.distinct else tuple(key.sql for key in self._keys)
        columns = [*self._reader.select, *(each.select for each in (*self._shown, *self._aliased)), *keys]
        return f"SELECT {', '.join(columns) or '1'}"

    def _count(self) -> int:
        sql = f"SELECT COUNT(*) FROM ({self._select} {self._from}{self._group_by} LIMIT {MAX_PAGE})"  # noqa: S608 - built above
        return int(self._store.execute(sql, self._scope.parameters).fetchone()[0])

    def _entity(self, row: Sequence[Any]) -> Entity:
        entity = self._reader.read(row)
        behind = len(self._reader.select)
        for shown, stored in zip(self._shown, row[behind:], strict=False):
            if stored is not None:
                entity.attributes[shown.alias] = stored
        for aliased, stored in zip(self._aliased, row[behind + len(self._shown) :], strict=False):
            if stored is not None:
                entity.attributes[aliased.alias] = aliased.value(stored)
        return entity


class _AliasedColumn:
    """A column that is returned with each row as an aliased value."""

    def __init__(self, scope: Scope, aliased: AliasedColumn) -> None:
        table, column, self.select, self._decode = scope.selected(aliased.column)
        if aliased.counts_children:
            self.select, self._decode = child_count(scope, table, scope.column(aliased.column)[2]), int
        self.compared = comparable(column, self.select)
        self.alias = aliased.alias
        self._names = (table.logical_name, column.logical_name)

    def value(self, stored: Any) -> AliasedValue:
        return AliasedValue(*self._names, self._decode(stored))


def _aliased_columns(metadata: Metadata, query: Query) -> Iterator[AliasedColumn]:
    """The columns of the links, and those with an alias."""
    for link in _all_links(query.links):
        for name in metadata.tables[link.entity_name].columns if link.columns is None else link.columns:
            yield AliasedColumn(ColumnRef(name, link.alias), _key(metadata, link, name))
    yield from query.aliased


def _key(metadata: Metadata, link: Link, name: str) -> str:
    """The name of a link's column in a row: ``alias.column``, but its schema name in a link to the first matching row.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/join-tables#related-table-propertyattribute-names-are-inconsistent
    """
    column = metadata.tables[link.entity_name].columns.get(name) if link.kind == "first" else None
    return column.schema_name if column else f"{link.alias}.{name}"


def _all_links(links: Iterable[Link]) -> Iterator[Link]:
    for link in links:
        yield link
        yield from _all_links(link.links)


def _multiplies(metadata: Metadata, link: Link) -> bool:
    """Whether the link may join several rows to one: it does not use the linked table's primary id."""
    return link.kind != "first" and link.from_column != metadata.tables[link.entity_name].primary_id_attribute
