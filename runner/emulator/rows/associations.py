"""Associates and disassociates rows, by setting a lookup or by a row of an intersect table.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/entity-operations-associate-disassociate
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dataverse_client.types import Entity, EntityReference
from runner.emulator.errors import DuplicateRecord, DuplicateRecordEntityKey, InvalidArgument
from runner.emulator.metadata.model import ManyToManyRelationship, Metadata
from runner.emulator.rows.records import Records
from runner.emulator.seed import SYSTEM_USER_ID
from runner.emulator.storage.store import Store


class Associations:
    """Associates and disassociates the rows of one environment."""

    def __init__(self, store: Store, records: Records) -> None:
        self._store = store
        self._records = records

    def associate(
        self, reference: EntityReference, relationship: str, related: Iterable[EntityReference], user_id: str
    ) -> None:
        """Associate rows with ``reference`` by the relationship of that schema name.

        Raises:
          InvalidArgument: there is no such relationship between these tables, or several rows are given for a lookup.
          ObjectDoesNotExist: one of the rows does not exist.
          DuplicateRecord: two rows are already associated by a many-to-many relationship.
        """
        several = tuple(related)
        self._must_be_related(reference, relationship)
        for other in several:
            row = association(self._store.metadata, relationship, reference, other)
            self._records.must_exist(other)
            if isinstance(row, Linked):
                self._link(row)
            elif row.id == reference.id and len(several) > 1:
                raise InvalidArgument(f"A {row.logical_name} can have one row of '{relationship}', not {len(several)}.")
            else:
                self._records.update(row, user_id)

    def disassociate(
        self, reference: EntityReference, relationship: str, related: Iterable[EntityReference], user_id: str
    ) -> None:
        """Undo :meth:`associate`. Rows that are not associated stay unchanged.

        Raises:
          InvalidArgument: there is no such relationship between these tables.
          ObjectDoesNotExist: one of the rows does not exist.
        """
        self._must_be_related(reference, relationship)
        for other in related:
            row = association(self._store.metadata, relationship, reference, other)
            self._records.must_exist(other)
            if isinstance(row, Linked):
                self._store.write(row.delete_sql, list(row.ends.values()))
            elif self._refers(row):
                self._records.update(Entity(row.logical_name, row.id, dict.fromkeys(row.attributes)), user_id)

    def _must_be_related(self, reference: EntityReference, relationship: str) -> None:
        table, metadata = reference.logical_name, self._store.metadata
        if not any(table in ends and name == relationship for name, ends in _relationships(metadata)):
            raise InvalidArgument(f"There is no relationship '{relationship}' of {table}.")
        self._records.must_exist(reference)

    def _link(self, linked: Linked) -> None:
        try:
            self._records.create(Entity(linked.table, None, linked.ends), SYSTEM_USER_ID)
        except DuplicateRecordEntityKey:
            raise DuplicateRecord("Cannot insert duplicate key: the rows are associated already.") from None

    def _refers(self, row: Entity) -> bool:
        """Whether the stored row has the same value in the lookup as ``row``."""
        ((column, wanted),) = row.attributes.items()
        held = self._records.retrieve(row.to_entity_reference(), (column,), formatted=False).get(column)
        return bool(held == wanted)


def _relationships(metadata: Metadata) -> Iterator[tuple[str, tuple[str, str]]]:
    """The schema name of each relationship, and the tables at its ends."""
    for one_to_many in metadata.one_to_many:
        yield one_to_many.schema_name, (one_to_many.referenced_entity, one_to_many.referencing_entity)
    for many_to_many in metadata.many_to_many:
        yield many_to_many.schema_name, (many_to_many.entity1_logical_name, many_to_many.entity2_logical_name)


@dataclass(frozen=True, slots=True)
class Linked:
    """A row of the intersect table ``table``: its columns and their ids."""

    table: str
    ends: Mapping[str, str]

    @property
    def delete_sql(self) -> str:
        """The DELETE of the row. Its parameters are the ids, in order."""
        condition = " AND ".join(f'"{column}" = ?' for column in self.ends)
        return f'DELETE FROM "{self.table}" WHERE {condition}'  # noqa: S608 - names of metadata


def association(
    metadata: Metadata, relationship: str, reference: EntityReference, related: EntityReference
) -> Entity | Linked:
    """How ``related`` is associated with ``reference``: a row with the lookup to set, or a row of an intersect table.

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
        f"There is no relationship '{relationship}' between {reference.logical_name} and {related.logical_name}."
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
