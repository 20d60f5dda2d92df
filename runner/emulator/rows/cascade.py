"""Finds the rows that refer to a row, and cascades its deletion and its assignment to them.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/configure-entity-relationship-cascading-behavior
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from dataverse_client.types import EntityReference
from runner.emulator.errors import CannotDeleteDueToAssociation
from runner.emulator.metadata.model import CascadeAssign, CascadeDelete, OneToManyRelationship
from runner.emulator.storage.store import Store

DeleteRow = Callable[[EntityReference], None]
ClearLookup = Callable[[EntityReference, str], None]

#: Relationships that may refuse the deletion come first, before anything is changed.
_ORDER = (CascadeDelete.RESTRICT, CascadeDelete.CASCADE, CascadeDelete.REMOVE_LINK)


def cascade(
    store: Store, deleted: EntityReference, delete: DeleteRow, clear: ClearLookup, leaving: Container[EntityReference]
) -> None:
    """Cascade a deletion to the rows that refer to ``deleted``, except those whose deletion has begun (``leaving``).

    Raises:
      CannotDeleteDueToAssociation: a relationship restricts the deletion, and some row refers to ``deleted``.
    """
    relationships = store.metadata.referenced_by(deleted.logical_name)
    for behaviour in _ORDER:
        for relationship in relationships:
            if relationship.cascade_delete is behaviour:
                for row in _referring(store, relationship, deleted.id):
                    if row not in leaving and _is_there(store, row):
                        _treat(relationship, row, deleted, delete, clear)
    _unlink(store, deleted)


def _unlink(store: Store, deleted: EntityReference) -> None:
    """Remove the row from all many-to-many relationships."""
    for link in store.metadata.many_to_many:
        ends = {
            link.entity1_intersect_attribute: link.entity1_logical_name,
            link.entity2_intersect_attribute: link.entity2_logical_name,
        }
        for column, table in ends.items():
            if table == deleted.logical_name:
                sql = f'DELETE FROM "{link.intersect_entity_name}" WHERE "{column}" = ?'  # noqa: S608
                store.execute(sql, (deleted.id,))


def _treat(
    relationship: OneToManyRelationship,
    row: EntityReference,
    deleted: EntityReference,
    delete: DeleteRow,
    clear: ClearLookup,
) -> None:
    match relationship.cascade_delete:
        case CascadeDelete.RESTRICT:
            raise CannotDeleteDueToAssociation(
                f"The {deleted.logical_name} {deleted.id} cannot be deleted: {row.logical_name} {row.id} refers to it "
                f"by {relationship.referencing_attribute}."
            )
        case CascadeDelete.CASCADE:
            delete(row)
        case _:
            clear(row, relationship.referencing_attribute)


def _is_there(store: Store, row: EntityReference) -> bool:
    """Whether the row still exists: an earlier step of the cascade may have deleted it."""
    id = store.metadata.tables[row.logical_name].primary_id_attribute
    sql = f'SELECT 1 FROM "{row.logical_name}" WHERE "{id}" = ?'  # noqa: S608 - names of metadata
    return store.execute(sql, (row.id,)).fetchone() is not None


def assigned_along(
    store: Store, assigned: EntityReference, previous: EntityReference, owner: EntityReference
) -> list[EntityReference]:
    """The rows that a cascade assigns to ``owner`` with ``assigned``, except those that ``owner`` has already."""
    found: list[EntityReference] = []
    for relationship in store.metadata.assigns_along(assigned.logical_name):
        if "ownerid" in store.metadata.tables[relationship.referencing_entity].columns:
            condition, parameters = " AND ownerid IS NOT ?", [owner.id]
            match relationship.cascade_assign:
                case CascadeAssign.ACTIVE:
                    condition += " AND statecode = 0"
                case CascadeAssign.USER_OWNED:
                    condition, parameters = f"{condition} AND ownerid = ?", [*parameters, previous.id]
            found += _referring(store, relationship, assigned.id, condition, parameters)
    return found


def referring_rows(store: Store, row: EntityReference) -> list[tuple[EntityReference, str]]:
    """The rows that refer to ``row``, each with the lookup in which it does."""
    return [
        (referring, relationship.referencing_attribute)
        for relationship in store.metadata.referenced_by(row.logical_name)
        for referring in _referring(store, relationship, row.id)
    ]


def _referring(
    store: Store, relationship: OneToManyRelationship, id: str, condition: str = "", parameters: Sequence[str] = ()
) -> list[EntityReference]:
    table = store.metadata.tables[relationship.referencing_entity]
    codec = store.codecs[table.logical_name][relationship.referencing_attribute]
    sql = f'SELECT "{table.primary_id_attribute}" FROM "{table.logical_name}" WHERE "{codec.name}" = ?'  # noqa: S608
    wanted = [id]
    if codec.table_column:
        sql += f' AND "{codec.table_column}" = ?'
        wanted.append(relationship.referenced_entity)
    rows = store.execute(sql + condition, (*wanted, *parameters)).fetchall()
    return [EntityReference(table.logical_name, row[0]) for row in rows]
