"""Rows that come with a row: created after it and linked to it, or updated after it, in the same transaction.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/entity-operations-create
Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/entity-operations-update-delete
"""

from __future__ import annotations

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, new_guid
from runner.emulator.call import Call
from runner.emulator.errors import InvalidArgument
from runner.emulator.messages.environment import Environment
from runner.emulator.rows.associations import association


def create_related(engine: Environment, call: Call, target: Entity) -> None:
    """Create the rows in ``target.related_entities``, with their steps, and theirs in turn.

    Raises:
      OrganizationServiceFault: a relationship is not there, leads to one row only, or one of the rows is refused.
    """
    parent = target.to_entity_reference()
    for relationship, rows in target.related_entities.items():
        for row in rows:
            related = row.copy()
            related.id = related.id or new_guid()
            _create(engine, call, parent, relationship, related, len(rows))


def update_related(engine: Environment, call: Call, target: Entity) -> None:
    """Update the rows in ``target.related_entities``, with their steps, and theirs in turn.

    Raises:
      OrganizationServiceFault: a relationship is not there, a row does not say which it is, or one is refused.
    """
    parent = EntityReference(target.logical_name, target.id or EMPTY_GUID)
    for relationship, rows in target.related_entities.items():
        for row in rows:
            association(engine.store.metadata, relationship, parent, EntityReference(row.logical_name))
            engine.perform(call, "Update", {"Target": row})


def _create(
    engine: Environment, call: Call, parent: EntityReference, relationship: str, related: Entity, count: int
) -> None:
    reference = related.to_entity_reference()
    link = association(engine.store.metadata, relationship, parent, reference)
    if isinstance(link, Entity) and link.id == parent.id and count > 1:
        raise InvalidArgument(f"A {parent.logical_name} has one row of '{relationship}', not {count}.")
    if isinstance(link, Entity) and link.id == related.id:
        related.attributes.update(link.attributes)
        engine.perform(call, "Create", {"Target": related})
    else:
        engine.perform(call, "Create", {"Target": related})
        engine.associations.associate(parent, relationship, [reference], call.user_id)
