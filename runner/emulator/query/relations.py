"""OData functions on hierarchies and owners, such as ``Under`` and ``EqualUserTeams``, as filters.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/query-hierarchical-data
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from runner.emulator.query.model import ColumnRef, Condition, Filter, Lineage, Not, Operator, Or, TeamOwned

#: Takes a column and an id: that of a row for a hierarchy, of the user for an owner.
_Relation: TypeAlias = "Callable[[ColumnRef, str], Filter]"

LINEAGES: Mapping[str, _Relation] = {
    "Above": lambda ref, id: Lineage(ref, id, above=True),
    "AboveOrEqual": lambda ref, id: Lineage(ref, id, above=True, or_equal=True),
    "Under": Lineage,
    "UnderOrEqual": lambda ref, id: Lineage(ref, id, or_equal=True),
    "NotUnder": lambda ref, id: Not(Lineage(ref, id)),
}

OWNERS: Mapping[str, _Relation] = {
    "EqualUserTeams": TeamOwned,
    "EqualUserOrUserTeams": lambda ref, id: Or((Condition(ref, Operator.EQUAL, (id,)), TeamOwned(ref, id))),
    "EqualUserOrUserHierarchy": lambda ref, id: Lineage(ref, id, or_equal=True),
    "EqualUserOrUserHierarchyAndTeams": lambda ref, id: Or(
        (Lineage(ref, id, or_equal=True), TeamOwned(ref, id, with_reports=True))
    ),
}
