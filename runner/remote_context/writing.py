"""Writes a notification: PluginContext -> JSON document.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.remoteexecutioncontext
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.plugin import PluginContext
from runner.remote_context.encoding import (
    encode_column_set,
    encode_entity,
    encode_pairs,
    encode_reference,
    encode_relationship,
    encode_value,
)
from runner.remote_context.moments import WireDateTime, encode_moment

_ASYNCHRONOUS = 1


def write_context(context: PluginContext, isolation_mode: int | None) -> dict[str, Any]:
    """The members in alphabetical order, as .NET's serializer writes them."""
    document = {
        "BusinessUnitId": context.business_unit_id,
        "CorrelationId": context.correlation_id,
        "Depth": context.depth,
        "InitiatingUserAgent": context.initiating_user_agent,
        "InitiatingUserAzureActiveDirectoryObjectId": context.initiating_user_azure_active_directory_object_id,
        "InitiatingUserId": context.initiating_user_id,
        "InputParameters": _write_parameters(context),
        "IsExecutingOffline": context.is_executing_offline,
        "IsInTransaction": context.is_in_transaction,
        "IsOfflinePlayback": context.is_offline_playback,
        "IsolationMode": context.isolation_mode if isolation_mode is None else isolation_mode,
        "MessageName": context.message_name,
        "Mode": int(context.mode),
        "OperationCreatedOn": _write_created_on(context),
        "OperationId": context.operation_id,
        "OrganizationId": context.organization_id,
        "OrganizationName": context.organization_name,
        "OutputParameters": encode_pairs(context.output_parameters, encode_value),
        "OwningExtension": encode_reference(context.owning_extension),
        "ParentContext": None,
        "PostEntityImages": encode_pairs(context.post_entity_images, encode_entity),
        "PreEntityImages": encode_pairs(context.pre_entity_images, encode_entity),
        "PrimaryEntityId": context.primary_entity_id,
        "PrimaryEntityName": context.primary_entity_name,
        "RequestId": context.request_id,
        "SecondaryEntityName": context.secondary_entity_name,
        "SharedVariables": encode_pairs(context.shared_variables, encode_value),
        "Stage": int(context.stage),
        "UserAzureActiveDirectoryObjectId": context.user_azure_active_directory_object_id,
        "UserId": context.user_id,
    }
    if context.parent_context is not None:
        document["ParentContext"] = write_context(context.parent_context, isolation_mode)
    return document


def _write_parameters(context: PluginContext) -> list[dict[str, Any]]:
    return [
        {"key": name, "value": _PARAMETERS.get((context.message_name, name), encode_value)(value)}
        for name, value in context.input_parameters.items()
    ]


#: Parameters that plug-ins get as names, and that are objects in the document.
_PARAMETERS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("Associate", "Relationship"): encode_relationship,
    ("Disassociate", "Relationship"): encode_relationship,
    ("Retrieve", "ColumnSet"): encode_column_set,
}


def _write_created_on(context: PluginContext) -> str:
    """OperationCreatedOn. The asynchronous service takes it from the system job: whole seconds with an offset."""
    moment = context.operation_created_on
    if context.mode != _ASYNCHRONOUS or isinstance(moment, WireDateTime):
        return encode_moment(moment)
    return encode_moment(moment.replace(microsecond=0)).replace(")", "+0000)")
