"""The types of links, which FetchXML and QueryExpression share: joins, and conditions on related rows.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/link-entity#link-type-options
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from runner.emulator.query.model import And, Exists, Filter, Link, Not

Kind: TypeAlias = Literal["inner", "outer", "first"]

#: The link types that join a table, those that are conditions, and those that are conditions within a filter.
JOINS: Final[Mapping[str, Kind]] = {"inner": "inner", "outer": "outer", "matchfirstrowusingcrossapply": "first"}
SEMI_JOINS = frozenset({"exists", "in"})
FILTER_LINKS = frozenset({"any", "not any", "all", "not all"})

#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/join-tables#limitations
MAX_LINKS = 15
TOO_MANY_LINKS = 0x8004430D


def related(link_type: str, matching: Exists) -> Filter:
    """The condition of a link within a filter.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/filter-rows#filter-on-values-in-related-records
    """
    if link_type in ("any", "not all"):
        return matching
    return Not(matching) if link_type == "not any" else unmatched(matching.link)


def unmatched(link: Link) -> Filter:
    """The meaning of "all": there are related rows, and none of them matches."""
    return And((Exists(Link(link.entity_name, link.from_column, link.to_column, link.alias)), Not(Exists(link))))
