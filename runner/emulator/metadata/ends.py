"""The two ends of a many-to-many relationship."""

from __future__ import annotations

from dataclasses import dataclass

from runner.emulator.metadata.model import ManyToManyRelationship


@dataclass(frozen=True, slots=True)
class Ends:
    """A many-to-many relationship seen from one table: the intersect table's two columns, and the other table."""

    near_column: str
    far_column: str
    far_table: str


def ends_of(relationship: ManyToManyRelationship, near: str) -> Ends:
    """The ends as seen from the table ``near``; the first end, for a relationship of a table with itself."""
    first = (relationship.entity1_intersect_attribute, relationship.entity1_logical_name)
    second = (relationship.entity2_intersect_attribute, relationship.entity2_logical_name)
    here, there = (first, second) if first[1] == near else (second, first)
    return Ends(here[0], there[0], there[1])
