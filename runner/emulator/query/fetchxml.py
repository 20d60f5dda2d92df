"""FetchXML -> the query model.

    >>> read_fetch("<fetch><entity name='account'><attribute name='name'/></entity></fetch>",     # doctest: +SKIP
    ...            metadata, Viewpoint(clock.now(), user_id, business_unit_id))
    Query(entity_name='account', columns=('name',), ...)

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/overview
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.emulator.errors import AttributeNotFound, EntityNotFound, InvalidArgument
from runner.emulator.metadata.model import Column, Metadata, Table
from runner.emulator.query.fetchxml_conditions import Viewpoint, read_condition
from runner.emulator.query.fetchxml_elements import (
    ALIAS_DOES_NOT_EXIST,
    ATTRIBUTE_WITH_AGGREGATE,
    ELEMENT_NOT_FOUND,
    INVALID_AGGREGATE,
    INVALID_ALIAS,
    INVALID_FILTER_TYPE,
    INVALID_LINK_TYPE,
    INVALID_NODE,
    LINK_FOR_ORDER_NOT_FOUND,
    NO_ALIAS,
    alias_of,
    check_children,
    choice,
    flag,
    number,
    parse_xml,
    refusal,
    required,
)
from runner.emulator.query.fetchxml_paging import read_fetch_cookie
from runner.emulator.query.model import (
    Aggregate,
    AliasedColumn,
    And,
    ColumnRef,
    Exists,
    Filter,
    GroupBy,
    Link,
    Not,
    Or,
    Order,
    Page,
    Query,
)
from runner.emulator.query.paging import MAX_PAGE

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/filter-rows#limitations
MAX_CONDITIONS = 500
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/join-tables#limitations
MAX_LINKS = 15
_TOO_MANY_CONDITIONS = 0x8004430C
_TOO_MANY_LINKS = 0x8004430D

_AGGREGATES = frozenset({"sum", "avg", "min", "max", "count", "countcolumn"})
_DATE_GROUPINGS = frozenset({"day", "week", "month", "quarter", "year"})
_JOINS = frozenset({"inner", "outer"})
_SEMI_JOINS = frozenset({"exists", "in"})
_FILTER_LINKS = frozenset({"any", "not any", "all", "not all"})


def read_fetch(xml: str, metadata: Metadata, viewpoint: Viewpoint) -> Query:
    """The question a FetchXML text asks.

    Raises:
      InvalidArgument: (one of its kinds) it cannot be read, or names what there is not; the message names it.
    """
    fetch, entity = _parse(xml)
    check_children(fetch)
    _check_limits(fetch)
    return _Reader(fetch, entity, metadata, viewpoint).query()


def fetched_entity(xml: str) -> str:
    """The logical name of the table a FetchXML text asks for. Raises InvalidArgument."""
    return required(_parse(xml)[1], "name")


def _parse(xml: str) -> tuple[Element, Element]:
    fetch = parse_xml(xml, "FetchXML")
    if fetch.tag != "fetch":
        raise refusal(INVALID_NODE, f"FetchXML begins with the element fetch, not {fetch.tag}.")
    entities = fetch.findall("entity")
    if len(entities) != 1:
        raise refusal(ELEMENT_NOT_FOUND, f"A fetch element holds one entity element, not {len(entities)}.")
    return fetch, entities[0]


def _check_limits(fetch: Element) -> None:
    links = sum(1 for _ in fetch.iter("link-entity"))
    if links > MAX_LINKS:
        raise refusal(_TOO_MANY_LINKS, "Number of link entities in query exceeded maximum limit.")
    if links + sum(1 for _ in fetch.iter("condition")) > MAX_CONDITIONS:
        raise refusal(_TOO_MANY_CONDITIONS, "Number of conditions in query exceeded maximum limit.")


@dataclass(frozen=True, slots=True)
class _Source:
    """What an ``entity`` or ``link-entity`` element stands for. ``alias`` None is the query's own table."""

    table: Table
    alias: str | None


class _Reader:
    """Reads one ``fetch`` element. Its sources are known before anything that may name them is read."""

    def __init__(self, fetch: Element, entity: Element, metadata: Metadata, viewpoint: Viewpoint) -> None:
        self._fetch = fetch
        self._entity = entity
        self._metadata = metadata
        self._viewpoint = viewpoint
        self._is_aggregate = flag(fetch, "aggregate")
        self._sources = {entity: _Source(self._table(entity), None)}
        self._named: dict[str, _Source] = {}
        for position, link in enumerate(entity.iter("link-entity"), 1):
            self._declare(link, position)

    def _table(self, element: Element) -> Table:
        name = required(element, "name")
        if name not in self._metadata.tables:
            raise EntityNotFound.named(name)
        return self._metadata.tables[name]

    def _declare(self, link: Element, position: int) -> None:
        table = self._table(link)
        alias = alias_of(link)
        source = self._sources[link] = _Source(table, alias or f"{table.logical_name}{position}")
        # An alias goes before a table's name, whichever comes first.
        if alias:
            self._named[alias] = source
        else:
            self._named.setdefault(table.logical_name, source)

    def query(self) -> Query:
        links, semi_joins = self._links(self._entity)
        sources = list(self._joined())
        self._check_attributes(sources)
        return Query(
            self._sources[self._entity].table.logical_name,
            self._columns(self._entity),
            self._where(self._entity, semi_joins),
            tuple(order for element in sources for order in self._orders(element)),
            links,
            tuple(a for element in sources for a in self._aggregates(element)),
            tuple(g for element in sources for g in self._groups(element)),
            flag(self._fetch, "distinct"),
            number(self._fetch, "top"),
            self._page(),
            flag(self._fetch, "returntotalrecordcount"),
            tuple(a for element in sources for a in self._aliased(element)),
        )

    def _joined(self) -> Iterator[Element]:
        """The entity and its joined tables, each before those that hang on it."""
        waiting = [self._entity]
        while waiting:
            element = waiting.pop()
            yield element
            waiting += reversed([link for link in element.findall("link-entity") if _link_type(link) in _JOINS])

    # --- columns -------------------------------------------------------------------------------------------

    def _columns(self, element: Element) -> tuple[str, ...] | None:
        """The columns that keep their names; None for all of them."""
        if self._is_aggregate:
            return ()
        attributes = element.findall("attribute")
        is_everything = not attributes and element is self._entity and element.find("no-attrs") is None
        if is_everything or element.find("all-attributes") is not None:
            return None
        named = [self._ref(attribute, element).name for attribute in attributes if not alias_of(attribute)]
        return tuple(dict.fromkeys(named))

    def _aliased(self, element: Element) -> Iterator[AliasedColumn]:
        for attribute in element.findall("attribute"):
            alias = alias_of(attribute)
            if alias and not self._is_aggregate:
                yield AliasedColumn(self._ref(attribute, element), alias)

    def _groups(self, element: Element) -> Iterator[GroupBy]:
        for attribute in element.findall("attribute"):
            if flag(attribute, "groupby"):
                grouping: Any = None
                if attribute.get("dategrouping"):
                    grouping = choice(attribute, "dategrouping", "", _DATE_GROUPINGS, INVALID_AGGREGATE)
                yield GroupBy(self._ref(attribute, element), alias_of(attribute), grouping)

    def _aggregates(self, element: Element) -> Iterator[Aggregate]:
        for attribute in element.findall("attribute"):
            if attribute.get("aggregate"):
                function: Any = choice(attribute, "aggregate", "", _AGGREGATES, INVALID_AGGREGATE)
                ref = self._ref(attribute, element)
                counted = None if function == "count" else ref
                yield Aggregate(function, counted, alias_of(attribute), flag(attribute, "distinct"))

    def _check_attributes(self, sources: list[Element]) -> None:
        """Raises InvalidArgument unless every attribute fits the kind of query this is, under an alias of its own."""
        attributes = [attribute for element in sources for attribute in element.findall("attribute")]
        if self._is_aggregate and not attributes:
            raise refusal(INVALID_AGGREGATE, "An aggregate query needs an attribute to aggregate.")
        taken: set[str] = set()
        for attribute in attributes:
            alias = self._checked_alias(attribute)
            if alias in taken:
                raise refusal(INVALID_ALIAS, f"The alias '{alias}' is used by more than one attribute.")
            if alias:
                taken.add(alias)

    def _checked_alias(self, attribute: Element) -> str:
        name, alias = required(attribute, "name"), alias_of(attribute)
        aggregates = bool(attribute.get("aggregate")) or flag(attribute, "groupby")
        if aggregates and not self._is_aggregate:
            raise refusal(INVALID_AGGREGATE, f"'{name}' is aggregated or grouped: say aggregate='true' in fetch.")
        if self._is_aggregate and not aggregates:
            raise refusal(
                ATTRIBUTE_WITH_AGGREGATE,
                f"Attribute can not be specified if an aggregate operation is requested: '{name}'.",
            )
        if self._is_aggregate and not alias:
            raise refusal(NO_ALIAS, f"'{name}' needs an alias when it is aggregated or grouped.")
        return alias

    def _ref(self, element: Element, within: Element) -> ColumnRef:
        source = self._sources[within]
        return ColumnRef(self._column(required(element, "name"), source).logical_name, source.alias)

    def _column(self, name: str, source: _Source) -> Column:
        column = source.table.columns.get(name)
        if column is None:
            raise AttributeNotFound.named(source.table.logical_name, name)
        return column

    # --- links ---------------------------------------------------------------------------------------------

    def _links(self, element: Element) -> tuple[tuple[Link, ...], list[Filter]]:
        """The tables joined to an element, and the conditions that others of its links are."""
        joined: list[Link] = []
        conditions: list[Filter] = []
        for child in element.findall("link-entity"):
            kind = _link_type(child)
            if kind in _JOINS:
                joined.append(self._link(child, kind))
            elif kind in _SEMI_JOINS:
                conditions.append(self._exists(child))
            else:
                raise refusal(
                    INVALID_LINK_TYPE, f"The link-type '{kind}' of '{child.get('name')}' belongs in a filter."
                )
        return tuple(joined), conditions

    def _link(self, element: Element, kind: Any) -> Link:
        source = self._sources[element]
        links, semi_joins = self._links(element)
        columns = self._columns(element)
        return Link(
            source.table.logical_name,
            required(element, "from"),
            required(element, "to"),
            source.alias or "",
            kind,
            tuple(source.table.columns) if columns is None else columns,
            self._where(element, semi_joins),
            links,
        )

    def _exists(self, element: Element) -> Exists:
        for child in ("attribute", "all-attributes", "order"):
            if element.find(child) is not None:
                raise refusal(
                    INVALID_NODE,
                    f"A link-entity of link-type '{_link_type(element)}' returns no rows, so it cannot have {child}.",
                )
        return Exists(self._link(element, "inner"))

    # --- filters -------------------------------------------------------------------------------------------

    def _where(self, element: Element, semi_joins: list[Filter]) -> Filter | None:
        parts = (*(self._filter(child, element) for child in element.findall("filter")), *semi_joins)
        return And(parts) if parts else None

    def _filter(self, element: Element, within: Element) -> Filter:
        parts = tuple(self._part(child, within) for child in element)
        kind = choice(element, "type", "and", frozenset({"and", "or"}), INVALID_FILTER_TYPE)
        return Or(parts) if kind == "or" else And(parts)

    def _part(self, element: Element, within: Element) -> Filter:
        if element.tag == "filter":
            return self._filter(element, within)
        return self._condition(element, within) if element.tag == "condition" else self._filter_link(element)

    def _condition(self, element: Element, within: Element) -> Filter:
        source = self._sources[within]
        if element.get("entityname"):
            source = self._source_named(required(element, "entityname"), ALIAS_DOES_NOT_EXIST)
        column = self._column(required(element, "attribute"), source)
        ref = ColumnRef(column.logical_name, source.alias)
        return read_condition(element, ref, column, self._other_column(element, source), self._viewpoint)

    def _other_column(self, element: Element, source: _Source) -> ColumnRef | None:
        """The column ``valueof`` names: one of the same table, or ``alias.column``."""
        text = element.get("valueof")
        if text is None:
            return None
        alias, dot, name = text.rpartition(".")
        if dot:
            source = self._source_named(alias, ALIAS_DOES_NOT_EXIST)
        return ColumnRef(self._column(name, source).logical_name, source.alias)

    def _filter_link(self, element: Element) -> Filter:
        """Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/filter-rows#filter-on-values-in-related-records"""
        kind = _link_type(element)
        if kind not in _FILTER_LINKS:
            raise refusal(INVALID_LINK_TYPE, f"In a filter, link-type is one of {', '.join(sorted(_FILTER_LINKS))}.")
        matching = self._exists(element)
        if kind in ("any", "not all"):
            return matching
        if kind == "not any":
            return Not(matching)
        link = matching.link
        # "all" finds the parents that have related rows, none of which matches.
        related = Exists(Link(link.entity_name, link.from_column, link.to_column, link.alias))
        return And((related, Not(matching)))

    def _source_named(self, name: str, code: int) -> _Source:
        source = self._named.get(name)
        if source is None:
            raise refusal(code, f"No link-entity of the query has the name or alias '{name}'.")
        return source

    # --- order and page ------------------------------------------------------------------------------------

    def _orders(self, element: Element) -> Iterator[Order]:
        """Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/order-rows"""
        by_label = not flag(self._fetch, "useraworderby")
        for order in element.findall("order"):
            yield Order(self._ordered(order, element), flag(order, "descending"), by_label)

    def _ordered(self, order: Element, within: Element) -> ColumnRef:
        alias = order.get("alias")
        if self._is_aggregate:
            if not alias:
                raise refusal(
                    ATTRIBUTE_WITH_AGGREGATE,
                    f"An aggregate query is ordered by alias, not by attribute '{order.get('attribute')}'.",
                )
            return ColumnRef(alias)
        if alias:
            return self._aliased_as(alias)
        source = self._sources[within]
        if order.get("entityname"):
            source = self._source_named(required(order, "entityname"), LINK_FOR_ORDER_NOT_FOUND)
        return ColumnRef(self._column(required(order, "attribute"), source).logical_name, source.alias)

    def _aliased_as(self, alias: str) -> ColumnRef:
        for element in self._joined():
            for aliased in self._aliased(element):
                if aliased.alias == alias:
                    return aliased.column
        raise refusal(ALIAS_DOES_NOT_EXIST, f"No attribute of the query has the alias '{alias}' to order by.")

    def _page(self) -> Page | None:
        size, page = number(self._fetch, "count"), number(self._fetch, "page")
        if self._fetch.get("top") is not None:
            if page is not None:
                raise InvalidArgument("The top attribute can't be specified with paging attribute page.")
            return None
        cookie = self._fetch.get("paging-cookie")
        return Page(size or MAX_PAGE, page or 1, read_fetch_cookie(cookie, page) if cookie else None)


def _link_type(element: Element) -> str:
    return choice(element, "link-type", "inner", _JOINS | _SEMI_JOINS | _FILTER_LINKS, INVALID_LINK_TYPE)
