"""What associating two rows comes to: a lookup's new value, or a row of an intersect table.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/entity-operations-associate-disassociate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dataverse_client.types import Entity, EntityReference
from runner.emulator.errors import InvalidArgument
from runner.emulator.metadata.model import ManyToManyRelationship, Metadata


@dataclass(frozen=True, slots=True)
class Linked:
    """A row of the intersect table ``table``: its columns, and the ids they hold."""

    table: str
    ends: Mapping[str, str]

    @property
    def delete_sql(self) -> str:
        """Its parameters are the ids, in order."""
        condition = " AND ".join(f'"{column}" = ?' for column in self.ends)
        return f'DELETE FROM "{self.table}" WHERE {condition}'  # noqa: S608 - names of metadata


def association(
    metadata: Metadata, relationship: str, reference: EntityReference, related: EntityReference
) -> Entity | Linked:
    """What links ``related`` to ``reference``: the row whose lookup says so, with that lookup, or the intersect's row.

    Raises:
      InvalidArgument: no relationship of that schema name is between these tables.
    """
    for many_to_one in metadata.one_to_many:
        if many_to_one.schema_name == relationship:
            column = many_to_one.referencing_attribute
            between = (many_to_one.referenced_entity, many_to_one.referencing_entity)
            if between == (reference.logical_name, related.logical_name):
                return Entity(related.logical_name, related.id, {column: reference})
            if between == (related.logical_name, reference.logical_name):
                return Entity(reference.logical_name, reference.id, {column: related})
    for many_to_many in metadata.many_to_many:
        if many_to_many.schema_name == relationship:
            linked = _linked(many_to_many, reference, related)
            if linked is not None:
                return linked
    raise InvalidArgument(
        f"No relationship '{relationship}' is between {reference.logical_name} and {related.logical_name}."
    )


def _linked(
    relationship: ManyToManyRelationship, reference: EntityReference, related: EntityReference
) -> Linked | None:
    first, second = relationship.entity1_intersect_attribute, relationship.entity2_intersect_attribute
    ends = (relationship.entity1_logical_name, relationship.entity2_logical_name)
    if ends == (reference.logical_name, related.logical_name):
        return Linked(relationship.intersect_entity_name, {first: reference.id, second: related.id})
    if ends == (related.logical_name, reference.logical_name):
        return Linked(relationship.intersect_entity_name, {first: related.id, second: reference.id})
    return None
