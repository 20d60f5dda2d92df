"""Finds the columns that join a ``link-entity`` whose ``from`` and ``to`` are missing.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/link-entity#using-from-and-to-attributes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from runner.emulator.errors import EntityNotFound
from runner.emulator.metadata.model import Metadata, Table
from runner.emulator.query.model import Link


def join(metadata: Metadata, parent: Table, link: Link) -> Link:
    """Complete a link that lacks one of its columns or both.

    With both missing, a many-to-many relationship may join the tables; then the link is nested in one to its intersect
    table.

    Raises:
      EntityNotFound: no relationship joins the two tables. The code is Dataverse's.
    """
    if link.from_column and link.to_column:
        return link
    if link.from_column or link.to_column:
        for from_column, to_column in _lookups(metadata, parent, link.entity_name):
            if link.from_column in ("", from_column) and link.to_column in ("", to_column):
                return replace(link, from_column=from_column, to_column=to_column)
    else:
        for table, parents, own in _intersects(metadata, parent, link.entity_name):
            id = metadata.tables[link.entity_name].primary_id_attribute
            # The dot keeps it apart from the aliases of a query, which cannot have one.
            inner = replace(link, from_column=id, to_column=own)
            return Link(table, parents, parent.primary_id_attribute, f"{link.alias}.", link.kind, links=(inner,))
    raise EntityNotFound(
        f"No system many-to-many relationship exists between {parent.logical_name} and {link.entity_name}.  If "
        "attempting to link through a custom many-to-many relationship ensure that you provide the from and to "
        "attributes."
    )


def _lookups(metadata: Metadata, parent: Table, linked: str) -> Iterator[tuple[str, str]]:
    """The ``from`` and ``to`` of each lookup between the two tables, the parent's own lookups first."""
    for relationship in metadata.many_to_one(parent.logical_name):
        if relationship.referenced_entity == linked:
            yield relationship.referenced_attribute, relationship.referencing_attribute
    for relationship in metadata.referenced_by(parent.logical_name):
        if relationship.referencing_entity == linked:
            yield relationship.referencing_attribute, relationship.referenced_attribute


def _intersects(metadata: Metadata, parent: Table, linked: str) -> Iterator[tuple[str, str, str]]:
    """The intersect tables of system relationships between the two, with their columns for each."""
    for many in metadata.many_to_many:
        one, other = many.entity1_logical_name, many.entity2_logical_name
        if metadata.tables[many.intersect_entity_name].is_custom:
            continue
        if (one, other) == (parent.logical_name, linked):
            yield many.intersect_entity_name, many.entity1_intersect_attribute, many.entity2_intersect_attribute
        elif (other, one) == (parent.logical_name, linked):
            yield many.intersect_entity_name, many.entity2_intersect_attribute, many.entity1_intersect_attribute
