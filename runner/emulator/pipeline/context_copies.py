"""Copies of what plug-ins are told, so that what one of them changes shows to nobody it is no business of.

In Dataverse a request is written down on its way to the platform, and an asynchronous step's context with its job,
to be read anew for every attempt. Here both are copied instead.
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, EntityCollection
from runner.plugin import PluginContext


def told_later(context: PluginContext) -> PluginContext:
    """The context as the job keeps it: its parent is told, but for the request's parameters, what the job is told.

    That is so whatever the parent was: a SetState, or the Create of another row.
    """
    later = context.apart(copied)
    if context.parent_context is not None:
        parent = apart(
            context.parent_context,
            message_name=context.message_name,
            operation_id=context.operation_id,
            operation_created_on=context.operation_created_on,
            primary_entity_id=context.primary_entity_id,
        )
        parent.tell(mode=context.mode, is_in_transaction=False, owning_extension=context.owning_extension)
        later.tell(parent_context=parent)
    return later


def apart(context: PluginContext, **facts: Any) -> PluginContext:
    """The same, of which nothing that is changed shows in the first. ``facts`` of its operation are told otherwise."""
    twin = context.apart(copied, **facts)
    if context.parent_context is not None:
        twin.tell(parent_context=apart(context.parent_context))
    return twin


def copied(value: Any) -> Any:
    """A parameter's or variable's value, which only its new holder changes."""
    if isinstance(value, Entity | EntityCollection):
        return value.copy()
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [copied(each) for each in value]
    return value
