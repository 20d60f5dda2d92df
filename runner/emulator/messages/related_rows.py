"""Creates or updates the related rows in a Target, after it and in the same transaction.

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
    """Create the rows in ``target.related_entities``, and those in them, with their steps.

    Raises:
      OrganizationServiceFault: a relationship does not exist or cannot have several rows, or a row is refused.
    """
    parent = target.to_entity_reference()
    for relationship, rows in target.related_entities.items():
        for row in rows:
            related = row.copy()
            related.id = related.id or new_guid()
            _create(engine, call, parent, relationship, related, len(rows))


def update_related(engine: Environment, call: Call, target: Entity) -> None:
    """Update the rows in ``target.related_entities``, and those in them, with their steps.

    Raises:
      OrganizationServiceFault: a relationship does not exist, a row has no id, or a row is refused.
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
        raise InvalidArgument(f"A {parent.logical_name} can have one row of '{relationship}', not {count}.")
    if isinstance(link, Entity) and link.id == related.id:
        related.attributes.update(link.attributes)
        engine.perform(call, "Create", {"Target": related})
    else:
        engine.perform(call, "Create", {"Target": related})
        engine.associations.associate(parent, relationship, [reference], call.user_id)
