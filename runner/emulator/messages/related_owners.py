"""Rows that change their owner with the row they refer to, each with its own steps, in the same transaction.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/configure-entity-relationship-cascading-behavior
"""

from __future__ import annotations

from dataverse_client.types import Entity, EntityReference
from runner.emulator.call import Call
from runner.emulator.messages.environment import Environment
from runner.emulator.rows.cascade import assigned_along


def owner_to_follow(engine: Environment, target: Entity) -> EntityReference | None:
    """Who owns the row before an update that may give it to another, if any row would follow it."""
    if "ownerid" not in target.attributes or not engine.store.metadata.assigns_along(target.logical_name):
        return None
    owner = engine.records.retrieve(target.to_entity_reference(), ("ownerid",), formatted=False).get("ownerid")
    return owner if owner != target.attributes["ownerid"] else None


def assign_related(engine: Environment, call: Call, target: Entity, previous: EntityReference) -> None:
    """Give the rows that follow ``target`` to its new owner. Raises OrganizationServiceFault: a step refused one."""
    owner = target.attributes["ownerid"]
    for row in assigned_along(engine.store, target.to_entity_reference(), previous, owner):
        engine.perform(call, "Assign", {"Target": row, "Assignee": owner})
