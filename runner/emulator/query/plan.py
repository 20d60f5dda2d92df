"""A query -> SQLite, and its answer -> entities.

A page is found by the key of the row before it. Where links multiply rows, or rows are made distinct, there is no such
key, and pages are counted off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dataverse_client.types import AliasedValue, Entity, EntityCollection
from runner.emulator.errors import InvalidArgument
from runner.emulator.metadata.model import Metadata
from runner.emulator.query.aggregates import run_aggregates
from runner.emulator.query.conditions import join, where
from runner.emulator.query.model import Link, Page, Query
from runner.emulator.query.paging import (
    EVERYTHING,
    Segment,
    SortKey,
    order_by,
    read_cookie,
    segments_after,
    write_cookie,
)
from runner.emulator.query.scope import Scope
from runner.emulator.reader import Reader
from runner.emulator.store import Store

#: The most rows a page has, and the highest count Dataverse tells.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/count-rows
MAX_PAGE = 5000


def run_query(store: Store, query: Query) -> EntityCollection:
    """The page of rows asked for, without formatted values.

    Raises:
      InvalidArgument: (one of its kinds) a table, column, operator, value or cookie is wrong; the message names it.
    """
    if query.aggregates or query.group_by:
        return run_aggregates(store, query)
    return _Plan(store, query).run()


class _Plan:
    """One query made ready: what it selects, from where, in which order, and which page of it."""

    def __init__(self, store: Store, query: Query) -> None:
        self._store = store
        self._query = query
        self._scope = Scope(store)
        table, source = self._scope.add(query.entity_name, None)
        joins = "".join(join(self._scope, link, None) for link in query.links)
        condition = where(self._scope, query.where)
        self._from = f'FROM "{table.logical_name}" AS {source}{joins} WHERE {condition}'
        self._reader = Reader(store, table, query.columns, source, keyed=not query.distinct)
        self._linked = [_LinkedColumns(self._scope, link) for link in _all_links(query.links) if link.columns]
        self._counted_off = query.distinct or any(_multiplies(store.metadata, link) for link in _all_links(query.links))
        self._keys = [SortKey(self._scope.column(order.column)[2], order.descending) for order in query.orders]
        if not query.distinct:
            # The id settles every tie; in the direction of the last order, so that one index serves both.
            descending = bool(self._keys) and self._keys[-1].descending
            self._keys.append(SortKey(f'{source}."{table.primary_id_attribute}"', descending))
        self._page = _page_of(query)

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
            return self._fetch(EVERYTHING, limit, (page.number - 1) * page.size)
        rows: list[tuple[Any, ...]] = []
        for segment in segments_after(self._keys, read_cookie(page.cookie, len(self._keys))[1]):
            rows += self._fetch(segment, limit - len(rows))
            if len(rows) == limit:
                break
        return rows

    def _fetch(self, segment: Segment, limit: int, offset: int = 0) -> list[tuple[Any, ...]]:
        order = f" ORDER BY {order_by(self._keys)}" if self._keys else ""
        sql = f"{self._select} {self._from} AND {segment.sql}{order} LIMIT ? OFFSET ?"
        return self._store.execute(sql, (*self._scope.parameters, *segment.parameters, limit, offset)).fetchall()

    @property
    def _select(self) -> str:
        keys = () if self._query.distinct else tuple(key.sql for key in self._keys)
        columns = [*self._reader.select, *(sql for linked in self._linked for sql in linked.select), *keys]
        return f"SELECT {'DISTINCT ' if self._query.distinct else ''}{', '.join(columns)}"

    def _count(self) -> int:
        sql = f"SELECT COUNT(*) FROM ({self._select} {self._from} LIMIT {MAX_PAGE})"  # noqa: S608 - built above
        return int(self._store.execute(sql, self._scope.parameters).fetchone()[0])

    def _entity(self, row: Sequence[Any]) -> Entity:
        entity = self._reader.read(row)
        position = len(self._reader.select)
        for linked in self._linked:
            linked.read(entity, row[position : position + len(linked.select)])
            position += len(linked.select)
        return entity


class _LinkedColumns:
    """The columns of a linked table that come with each row, as aliased values."""

    def __init__(self, scope: Scope, link: Link) -> None:
        table, source = scope.tables[link.alias]
        reader = Reader(scope.store, table, link.columns, source, keyed=False)
        self.select = reader.select
        self._decoders = [(name, f"{link.alias}.{name}", decode) for name, decode in reader.decoders]
        self._entity_name = link.entity_name

    def read(self, entity: Entity, row: Sequence[Any]) -> None:
        for (name, key, decode), stored in zip(self._decoders, row, strict=True):
            if stored is not None:
                entity.attributes[key] = AliasedValue(self._entity_name, name, decode(stored))


def _all_links(links: Iterable[Link]) -> Iterator[Link]:
    for link in links:
        yield link
        yield from _all_links(link.links)


def _multiplies(metadata: Metadata, link: Link) -> bool:
    """Whether a row can have several rows of the link: it does not hang on the linked table's id."""
    return link.from_column != metadata.tables[link.entity_name].primary_id_attribute


def _page_of(query: Query) -> Page:
    """The page meant: the first thousands when none is, and the one after its cookie when there is one."""
    if query.top is not None:
        if query.page is not None:
            raise InvalidArgument("The top attribute can't be specified with paging attribute page.")
        return Page(min(_positive(query.top, "top"), MAX_PAGE))
    page = query.page or Page(MAX_PAGE)
    number = read_cookie(page.cookie)[0] + 1 if page.cookie is not None else _positive(page.number, "page")
    return Page(min(_positive(page.size, "page size"), MAX_PAGE), number, page.cookie)


def _positive(number: int, name: str) -> int:
    if number < 1:
        raise InvalidArgument(f"The {name} must be 1 or more, not {number}.")
    return number
