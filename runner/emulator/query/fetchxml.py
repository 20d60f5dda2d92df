"""Parses FetchXML into the query model.

    >>> read_fetch("<fetch><entity name='account'><attribute name='name'/></entity></fetch>",     # doctest: +SKIP
    ...            metadata, Viewpoint(clock.now(), user_id, business_unit_id))
    Query(entity_name='account', columns=('name',), ...)

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.emulator.errors import InvalidArgument
from runner.emulator.metadata.model import Metadata
from runner.emulator.query.fetchxml_attributes import Attributes
from runner.emulator.query.fetchxml_conditions import read_condition
from runner.emulator.query.fetchxml_elements import (
    ALIAS_DOES_NOT_EXIST,
    ELEMENT_NOT_FOUND,
    INVALID_FILTER_TYPE,
    INVALID_LINK_TYPE,
    INVALID_NODE,
    INVALID_VALUE,
    check_children,
    choice,
    flag,
    number,
    parse_xml,
    refusal,
    required,
)
from runner.emulator.query.fetchxml_joins import join
from runner.emulator.query.fetchxml_paging import read_fetch_cookie
from runner.emulator.query.fetchxml_sources import Source, Sources, link_type
from runner.emulator.query.link_types import FILTER_LINKS, JOINS, MAX_LINKS, SEMI_JOINS, TOO_MANY_LINKS, Kind, related
from runner.emulator.query.model import (
    MAX_AGGREGATED,
    MAX_TOP,
    And,
    ColumnRef,
    Exists,
    Filter,
    Link,
    Or,
    Page,
    Query,
)
from runner.emulator.query.paging import MAX_PAGE
from runner.emulator.query.viewpoint import Viewpoint

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/filter-rows#limitations
MAX_CONDITIONS = 500
_TOO_MANY_CONDITIONS = 0x8004430C


def read_fetch(xml: str, metadata: Metadata, viewpoint: Viewpoint) -> Query:
    """Parse FetchXML text into a query.

    Raises:
      InvalidArgument: (one of its kinds) it is malformed, or names an unknown table, column or alias.
    """
    fetch, entity = _parse(xml)
    check_children(fetch)
    _check_limits(fetch)
    return _Reader(fetch, entity, metadata, viewpoint).query()


def fetched_entity(xml: str) -> str:
    """The logical name of the table that FetchXML text queries. Raises InvalidArgument."""
    return required(_parse(xml)[1], "name")


def counting(xml: str) -> str:
    """The same FetchXML, which also returns the number of rows, as ``$count=true`` requires. Raises InvalidArgument.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/count-rows
    """
    from xml.etree.ElementTree import tostring

    fetch = parse_xml(xml, "FetchXML")
    fetch.set("returntotalrecordcount", "true")
    return tostring(fetch, encoding="unicode")


def _parse(xml: str) -> tuple[Element, Element]:
    fetch = parse_xml(xml, "FetchXML")
    if fetch.tag != "fetch":
        raise refusal(INVALID_NODE, f"The root element of FetchXML must be fetch, not {fetch.tag}.")
    entities = fetch.findall("entity")
    if len(entities) != 1:
        raise refusal(ELEMENT_NOT_FOUND, f"A fetch element must hold one entity element, not {len(entities)}.")
    return fetch, entities[0]


def _check_limits(fetch: Element) -> None:
    links = sum(1 for _ in fetch.iter("link-entity"))
    if links > MAX_LINKS:
        raise refusal(TOO_MANY_LINKS, "Number of link entities in query exceeded maximum limit.")
    if links + sum(1 for _ in fetch.iter("condition")) > MAX_CONDITIONS:
        raise refusal(_TOO_MANY_CONDITIONS, "Number of conditions in query exceeded maximum limit.")


class _Reader:
    """Reads one ``fetch`` element."""

    def __init__(self, fetch: Element, entity: Element, metadata: Metadata, viewpoint: Viewpoint) -> None:
        self._fetch = fetch
        self._entity = entity
        self._metadata = metadata
        self._viewpoint = viewpoint
        self._sources = Sources(entity, metadata)
        self._attributes = Attributes(self._sources, flag(fetch, "aggregate"), not flag(fetch, "useraworderby"))

    def query(self) -> Query:
        self._attributes.check()
        links, semi_joins = self._links(self._entity)
        return Query(
            self._sources.of(self._entity).table.logical_name,
            columns=self._attributes.columns(self._entity),
            where=self._where(self._entity, semi_joins),
            orders=tuple(self._attributes.orders()),
            links=links,
            aggregates=tuple(self._attributes.aggregates()),
            group_by=tuple(self._attributes.groups()),
            distinct=flag(self._fetch, "distinct"),
            top=number(self._fetch, "top"),
            page=self._page(),
            count=flag(self._fetch, "returntotalrecordcount"),
            aliased=tuple(self._attributes.aliased()),
            aggregate_limit=min(number(self._fetch, "aggregatelimit") or MAX_AGGREGATED, MAX_AGGREGATED),
        )

    # --- links ---------------------------------------------------------------------------------------------

    def _links(self, element: Element) -> tuple[tuple[Link, ...], list[Filter]]:
        """The links of an element that join tables, and its other links as conditions."""
        joined: list[Link] = []
        conditions: list[Filter] = []
        for child in element.findall("link-entity"):
            kind = link_type(child)
            if kind in JOINS:
                joined.append(self._link(child, JOINS[kind]))
            elif kind in SEMI_JOINS:
                conditions.append(self._exists(child))
            else:
                raise refusal(
                    INVALID_LINK_TYPE, f"The link-type '{kind}' of '{child.get('name')}' is allowed in a filter only."
                )
        return tuple(joined), conditions

    def _link(self, element: Element, kind: Kind) -> Link:
        source = self._sources.of(element)
        links, semi_joins = self._links(element)
        link = Link(
            source.table.logical_name,
            element.get("from", ""),
            element.get("to", ""),
            source.alias or "",
            kind,
            self._attributes.columns(element),
            self._where(element, semi_joins),
            links,
        )
        return join(self._metadata, self._sources.parent(element).table, link)

    def _exists(self, element: Element) -> Exists:
        for child in ("attribute", "all-attributes", "order"):
            if next(element.iter(child), None) is not None:
                raise refusal(
                    INVALID_NODE,
                    f"A link-entity of link-type '{link_type(element)}' returns no rows, so it cannot have {child}.",
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
        source = self._sources.of(within)
        if element.get("entityname"):
            source = self._sources.named(required(element, "entityname"), ALIAS_DOES_NOT_EXIST)
        column = source.column(required(element, "attribute"))
        ref = ColumnRef(column.logical_name, source.alias)
        return read_condition(element, ref, column, self._other_column(element, source), self._viewpoint)

    def _other_column(self, element: Element, source: Source) -> ColumnRef | None:
        """The column that ``valueof`` names: one of the same table, or ``alias.column``."""
        text = element.get("valueof")
        if text is None:
            return None
        alias, dot, name = text.rpartition(".")
        if dot:
            source = self._sources.named(alias, ALIAS_DOES_NOT_EXIST)
        return source.ref(name)

    def _filter_link(self, element: Element) -> Filter:
        kind = link_type(element)
        if kind not in FILTER_LINKS:
            raise refusal(INVALID_LINK_TYPE, f"link-type in a filter must be one of {', '.join(sorted(FILTER_LINKS))}.")
        return related(kind, self._exists(element))

    def _page(self) -> Page | None:
        size, page = number(self._fetch, "count"), number(self._fetch, "page")
        if self._fetch.get("top") is not None:
            for name in ("page", "returntotalrecordcount"):
                if self._fetch.get(name, "false") != "false":
                    raise InvalidArgument(f"The top attribute can't be specified with paging attribute {name}")
            if (number(self._fetch, "top") or 0) > MAX_TOP:
                raise refusal(INVALID_VALUE, f"'top' of fetch can't exceed {MAX_TOP}.")
            return None
        cookie = self._fetch.get("paging-cookie")
        return Page(size or MAX_PAGE, page or 1, read_fetch_cookie(cookie, page) if cookie else None)
