"""Copies contexts and their values, so that a plug-in's changes do not show elsewhere.

Dataverse serializes requests, and the context of an asynchronous step with its job, to be read again for every attempt.
Here both are copied instead.
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, EntityCollection
from runner.plugin import PluginContext


def context_for_job(context: PluginContext) -> PluginContext:
    """The context for a job. Its parent context is like its own, except for the request's parameters.

    That does not depend on the parent operation, such as a SetState or the Create of another row.
    """
    later = context.detached(copied)
    if context.parent_context is not None:
        parent = detached(
            context.parent_context,
            message_name=context.message_name,
            operation_id=context.operation_id,
            operation_created_on=context.operation_created_on,
            primary_entity_id=context.primary_entity_id,
        )
        parent.override(mode=context.mode, is_in_transaction=False, owning_extension=context.owning_extension)
        later.override(parent_context=parent)
    return later


def detached(context: PluginContext, **facts: Any) -> PluginContext:
    """A copy whose changes do not show in the original. ``facts`` replace fields of its operation."""
    twin = context.detached(copied, **facts)
    if context.parent_context is not None:
        twin.override(parent_context=detached(context.parent_context))
    return twin


def copied(value: Any) -> Any:
    """A copy of the value of a parameter or shared variable."""
    if isinstance(value, Entity | EntityCollection):
        return value.copy()
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [copied(each) for each in value]
    return value
