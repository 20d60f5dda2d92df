"""The message a step runs for: what it does, where, and on whose behalf."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dataverse_client.types import EMPTY_GUID

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """The environment a plug-in runs in."""

    organization_id: str
    organization_name: str
    business_unit_id: str = EMPTY_GUID
    environment_id: str = ""
    tenant_id: str = EMPTY_GUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who made the call that a step runs for."""

    initiating_user_id: str
    authenticated_user_id: str = EMPTY_GUID
    business_unit_id: str = EMPTY_GUID
    user_azure_active_directory_object_id: str = EMPTY_GUID
    initiating_user_azure_active_directory_object_id: str = EMPTY_GUID
    initiating_user_application_id: str = EMPTY_GUID
    initiating_user_agent: str = ""
    is_application_user: bool = False
    portals_contact_id: str = EMPTY_GUID
    is_portals_client_call: bool = False


@dataclass(slots=True)
class MessageOperation:
    """One message on its way through the pipeline: the facts that all its steps share.

    A :class:`PluginContext` adds what belongs to one step: stage, images, user, parent.
    """

    organization: Organization
    caller: Caller
    message_name: str
    primary_entity_name: str
    primary_entity_id: str = EMPTY_GUID
    secondary_entity_name: str = "none"
    input_parameters: dict[str, Any] = field(default_factory=dict)
    output_parameters: dict[str, Any] = field(default_factory=dict)
    correlation_id: str = EMPTY_GUID
    operation_id: str = EMPTY_GUID
    request_id: str | None = None
    operation_created_on: datetime = _NEVER
    depth: int = 1
    is_executing_offline: bool = False
    is_offline_playback: bool = False
