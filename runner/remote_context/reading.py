"""Reads a notification: JSON document -> PluginContext.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.remoteexecutioncontext
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dataverse_client.types import EntityReference
from runner.plugin import INERT_HOST, Caller, ExecutionHost, MessageOperation, Organization, PluginContext
from runner.remote_context.decoding import decode_entity, decode_guid, decode_pairs, decode_reference, decode_value
from runner.remote_context.errors import InvalidRemoteContextError
from runner.remote_context.moments import WireDateTime, decode_moment

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Members:
    """Reads the members of a document. They may be missing, but not of another type."""

    document: Mapping[str, Any]
    path: str

    def where(self, key: str) -> str:
        return f"{self.path}{key}"

    def text(self, key: str, default: str = "") -> str:
        return self._of(str, key, "a text") or default

    def number(self, key: str, default: int) -> int:
        value = self._of(int, key, "a whole number")
        return default if value is None else value

    def flag(self, key: str) -> bool:
        return bool(self._of(bool, key, "true or false"))

    def id(self, key: str) -> str:
        return decode_guid(self.document.get(key), self.where(key))

    def pairs(self, key: str, decode: Callable[[Any, str], Any] = decode_value) -> dict[str, Any]:
        return decode_pairs(self.document.get(key), self.where(key), decode)

    def moment(self, key: str) -> datetime:
        text = self.text(key)
        if not text:
            return _NEVER
        moment = decode_moment(text, shifted=True) or _iso_moment(text)
        if moment is None:
            raise InvalidRemoteContextError(f"{self.where(key)} is not a date and time: {text[:60]!r}.")
        return moment

    def _of(self, kind: type, key: str, expected: str) -> Any:
        value = self.document.get(key)
        if value is not None and type(value) is not kind:
            raise InvalidRemoteContextError(f"{self.where(key)} is not {expected}.")
        return value


def _iso_moment(text: str) -> datetime | None:
    """Read ISO 8601, which plug-ins write that serialize the context themselves."""
    try:
        moment = datetime.fromisoformat(text)
        return WireDateTime.spelled(text, moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def read_context(document: Any, host: ExecutionHost, path: str = "") -> PluginContext:
    """The context that the document describes. ``path`` leads to it from the outermost document, with a dot.

    Raises:
      InvalidRemoteContextError: a member has the wrong type. The message names it.
    """
    if not isinstance(document, dict):
        raise InvalidRemoteContextError(f"{path.rstrip('.')} is not an object.")
    members = _Members(document, path)
    extension, parent = document.get("OwningExtension"), document.get("ParentContext")
    return PluginContext(
        _operation(members),
        host,
        stage=members.number("Stage", 40),
        mode=members.number("Mode", 0),
        owning_extension=decode_reference(extension, members.where("OwningExtension")) if extension else _NO_EXTENSION,
        user_id=members.id("UserId"),
        is_in_transaction=members.flag("IsInTransaction"),
        shared_variables=members.pairs("SharedVariables"),
        parent_context=None if parent is None else read_context(parent, INERT_HOST, members.where("ParentContext.")),
        pre_entity_images=members.pairs("PreEntityImages", decode_entity),
        post_entity_images=members.pairs("PostEntityImages", decode_entity),
        isolation_mode=members.number("IsolationMode", 1),
    )


_NO_EXTENSION = EntityReference("sdkmessageprocessingstep")


def read_operation(document: Mapping[str, Any]) -> MessageOperation:
    """The operation that the document describes. Raises InvalidRemoteContextError."""
    return _operation(_Members(document, ""))


def _operation(members: _Members) -> MessageOperation:
    request_id = members.document.get("RequestId")
    return MessageOperation(
        organization=Organization(
            organization_id=members.id("OrganizationId"),
            organization_name=members.text("OrganizationName"),
        ),
        caller=_read_caller(members),
        message_name=members.text("MessageName"),
        primary_entity_name=members.text("PrimaryEntityName", "none"),
        primary_entity_id=members.id("PrimaryEntityId"),
        secondary_entity_name=members.text("SecondaryEntityName", "none"),
        input_parameters=members.pairs("InputParameters"),
        output_parameters=members.pairs("OutputParameters"),
        correlation_id=members.id("CorrelationId"),
        operation_id=members.id("OperationId"),
        request_id=None if request_id is None else members.id("RequestId"),
        operation_created_on=members.moment("OperationCreatedOn"),
        depth=members.number("Depth", 1),
        is_executing_offline=members.flag("IsExecutingOffline"),
        is_offline_playback=members.flag("IsOfflinePlayback"),
    )


def _read_caller(members: _Members) -> Caller:
    return Caller(
        initiating_user_id=members.id("InitiatingUserId"),
        business_unit_id=members.id("BusinessUnitId"),
        user_azure_active_directory_object_id=members.id("UserAzureActiveDirectoryObjectId"),
        initiating_user_azure_active_directory_object_id=members.id("InitiatingUserAzureActiveDirectoryObjectId"),
        initiating_user_agent=members.text("InitiatingUserAgent"),
    )
