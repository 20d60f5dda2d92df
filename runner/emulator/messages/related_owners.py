"""Cascades a new owner to related rows, with their own steps, in the same transaction.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/configure-entity-relationship-cascading-behavior
"""

from __future__ import annotations

from dataverse_client.types import Entity, EntityReference
from runner.emulator.call import Call
from runner.emulator.messages.environment import Environment
from runner.emulator.rows.cascade import assigned_along


def owner_to_follow(engine: Environment, target: Entity) -> EntityReference | None:
    """The owner of the row before an update that may cascade a new owner; None if it does not cascade."""
    if "ownerid" not in target.attributes or not engine.store.metadata.assigns_along(target.logical_name):
        return None
    owner = engine.records.retrieve(target.to_entity_reference(), ("ownerid",), formatted=False).get("ownerid")
    return owner if owner != target.attributes["ownerid"] else None


def assign_related(engine: Environment, call: Call, target: Entity, previous: EntityReference) -> None:
    """Assign related rows to the new owner of ``target``. Raises OrganizationServiceFault when a step refuses that."""
    owner = target.attributes["ownerid"]
    for row in assigned_along(engine.store, target.to_entity_reference(), previous, owner):
        engine.perform(call, "Assign", {"Target": row, "Assignee": owner})
