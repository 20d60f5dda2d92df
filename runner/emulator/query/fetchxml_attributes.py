"""Parses the ``attribute`` and ``order`` elements of FetchXML.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/select-columns
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.emulator.query.fetchxml_elements import (
    ALIAS_DOES_NOT_EXIST,
    ATTRIBUTE_WITH_AGGREGATE,
    INVALID_AGGREGATE,
    INVALID_ALIAS,
    LINK_FOR_ORDER_NOT_FOUND,
    NO_ALIAS,
    alias_of,
    choice,
    flag,
    refusal,
    required,
)
from runner.emulator.query.fetchxml_sources import Sources
from runner.emulator.query.model import Aggregate, AliasedColumn, ColumnRef, GroupBy, Order

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_AGGREGATES = frozenset({"sum", "avg", "min", "max", "count", "countcolumn"})
_DATE_GROUPINGS = frozenset({"day", "week", "month", "quarter", "year", "fiscal-period", "fiscal-year"})


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of one query. ``by_label`` sorts choices by label and lookups by name."""

    sources: Sources
    is_aggregate: bool
    by_label: bool

    def _all(self) -> Iterator[tuple[Element, ColumnRef]]:
        for element in self.sources.joined():
            for attribute in element.findall("attribute"):
                yield attribute, self.sources.of(element).ref(required(attribute, "name"))

    def check(self) -> None:
        """Raises InvalidArgument unless all attributes fit the kind of query, each under its own alias."""
        aliases = [self._checked_alias(attribute) for attribute, _ in self._all()]
        if self.is_aggregate and not aliases:
            raise refusal(INVALID_AGGREGATE, "An aggregate query needs an attribute to aggregate.")
        given = [alias for alias in aliases if alias]
        for alias in given:
            if given.count(alias) > 1:
                raise refusal(INVALID_ALIAS, f"The alias '{alias}' is used by more than one attribute.")

    def _checked_alias(self, attribute: Element) -> str:
        name, alias = required(attribute, "name"), alias_of(attribute)
        uses = int(bool(attribute.get("aggregate"))) + flag(attribute, "groupby")
        if uses > (1 if self.is_aggregate else 0):
            hint = "not both" if self.is_aggregate else "so set aggregate='true' on fetch"
            raise refusal(INVALID_AGGREGATE, f"'{name}' is aggregated or grouped by, {hint}.")
        if self.is_aggregate and not uses:
            raise refusal(
                ATTRIBUTE_WITH_AGGREGATE,
                f"Attribute can not be specified if an aggregate operation is requested: '{name}'.",
            )
        if self.is_aggregate and not alias:
            raise refusal(NO_ALIAS, f"'{name}' needs an alias when it is aggregated or grouped by.")
        return alias

    def columns(self, element: Element) -> tuple[str, ...] | None:
        """The columns of one table that have no alias; None means every column."""
        source = self.sources.of(element)
        attributes = element.findall("attribute")
        if self.is_aggregate:
            return ()
        is_silent = not attributes and element is self.sources.entity and element.find("no-attrs") is None
        if is_silent or element.find("all-attributes") is not None:
            return None
        named = (source.ref(required(attribute, "name")).name for attribute in attributes if not alias_of(attribute))
        return tuple(dict.fromkeys(named))

    def aliased(self) -> Iterator[AliasedColumn]:
        for attribute, ref in self._all():
            if alias_of(attribute) and not self.is_aggregate:
                yield AliasedColumn(ref, alias_of(attribute), counts_children=_counts_children(attribute))

    def groups(self) -> Iterator[GroupBy]:
        for attribute, ref in self._all():
            if flag(attribute, "groupby"):
                grouping: Any = None
                if attribute.get("dategrouping"):
                    grouping = choice(attribute, "dategrouping", "", _DATE_GROUPINGS, INVALID_AGGREGATE)
                yield GroupBy(ref, alias_of(attribute), grouping)

    def aggregates(self) -> Iterator[Aggregate]:
        for attribute, ref in self._all():
            if attribute.get("aggregate"):
                function: Any = choice(attribute, "aggregate", "", _AGGREGATES, INVALID_AGGREGATE)
                yield Aggregate(function, ref, alias_of(attribute), flag(attribute, "distinct"))

    def orders(self) -> Iterator[Order]:
        """Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/order-rows"""
        for element in self.sources.joined():
            for order in element.findall("order"):
                yield Order(self._ordered(order, element), flag(order, "descending"), self.by_label)

    def _ordered(self, order: Element, within: Element) -> ColumnRef:
        alias = order.get("alias")
        if self.is_aggregate:
            if not alias:
                raise refusal(
                    ATTRIBUTE_WITH_AGGREGATE,
                    f"An aggregate query is ordered by alias, not by attribute '{order.get('attribute')}'.",
                )
            return ColumnRef(alias)
        if alias:
            return self._aliased_as(alias)
        source = self.sources.of(within)
        if order.get("entityname"):
            source = self.sources.named(required(order, "entityname"), LINK_FOR_ORDER_NOT_FOUND)
        return source.ref(required(order, "attribute"))

    def _aliased_as(self, alias: str) -> ColumnRef:
        for aliased in self.aliased():
            if aliased.alias == alias:
                return aliased.column
        raise refusal(ALIAS_DOES_NOT_EXIST, f"No attribute of the query has the alias '{alias}' to order by.")


def _counts_children(attribute: Element) -> bool:
    """Source: https://learn.microsoft.com/power-apps/developer/data-platform/query-hierarchical-data"""
    if attribute.get("rowaggregate") is None:
        return False
    return bool(choice(attribute, "rowaggregate", "", frozenset({"CountChildren"}), INVALID_AGGREGATE))
