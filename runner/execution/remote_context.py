"""RemoteExecutionContext: the JSON document that Dataverse sends to a webhook or a queue for each operation.

    remote = RemoteContext.decode(body)          # bytes -> document
    context = remote.context_for(host)           # what a plug-in is given
    body = RemoteContext.of(context).encode()    # and back

The document is kept as it was received, so that members a newer Dataverse may add are passed on.

Sources: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.remoteexecutioncontext
  https://learn.microsoft.com/power-apps/developer/data-platform/use-webhooks
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

from dataverse_client import exact_json
from dataverse_client.types import EMPTY_GUID, EntityReference
from runner.execution.remote_errors import InvalidRemoteContextError, UnsupportedMessageFormatError
from runner.execution.remote_values import (
    WireDateTime,
    decode_entity,
    decode_guid,
    decode_moment,
    decode_pairs,
    decode_reference,
    decode_value,
    encode_column_set,
    encode_entity,
    encode_moment,
    encode_pairs,
    encode_reference,
    encode_relationship,
    encode_value,
)
from runner.plugin import INERT_HOST, Caller, ExecutionHost, MessageOperation, Organization, PluginContext

#: What Dataverse leaves out of a notification that is too long.
TRIMMED_KEYS = ("InputParameters", "ParentContext", "PostEntityImages", "PreEntityImages")

_ASYNCHRONOUS = 1
_NEVER = datetime.min.replace(tzinfo=UTC)
_BYTES_BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
#: More digits than any number of .NET has; writing out 1E999999999 would exhaust memory.
_MOST_DIGITS = 400
_LONGEST_INTEGER = 18


@dataclass(frozen=True, slots=True)
class RemoteContext:
    """One notification: its JSON ``document``, and its ``context``, which can be read but not run.

    ``is_trimmed`` tells that it was too long, so that Target, images and parent context are missing.
    """

    document: Mapping[str, Any]
    context: PluginContext = field(repr=False, compare=False)
    is_trimmed: bool = False

    @classmethod
    def decode(cls, body: bytes, *, size_exceeded: bool = False) -> RemoteContext:
        """Read the body of a webhook request or of a Service Bus message.

        ``size_exceeded`` tells that a header of the request, or a property of the message, marks it as trimmed.

        Raises:
          UnsupportedMessageFormatError: the body is .NET binary or XML.
          InvalidRemoteContextError: the body is not JSON, or not a RemoteExecutionContext.
        """
        document = _parse(body)
        try:
            context = _read(document, INERT_HOST)
        except RecursionError:
            raise InvalidRemoteContextError("The notification is nested too deeply.") from None
        return cls(document, context, size_exceeded or _looks_trimmed(document, context))

    @classmethod
    def of(cls, context: PluginContext, *, isolation_mode: int | None = None) -> RemoteContext:
        """The notification for ``context``. ``isolation_mode`` replaces the context's own.

        Raises:
          UnknownValueTypeError: a parameter or column has a value that cannot be written.
        """
        return cls(_write(context, isolation_mode), context)

    def context_for(self, host: ExecutionHost) -> PluginContext:
        """The context for a plug-in that ``host`` runs, with new collections, which the plug-in may change."""
        return _read(self.document, host)

    def operation(self) -> MessageOperation:
        """The operation the notification describes, with new collections."""
        return _read_operation(_Members(self.document, ""))

    def trimmed(self) -> RemoteContext:
        """The notification without its long members: they are null, as .NET writes missing ones."""
        return RemoteContext({**self.document, **dict.fromkeys(TRIMMED_KEYS)}, self.context, is_trimmed=True)

    def encode(self) -> bytes:
        """The body to send: JSON in UTF-8, every slash escaped, as Dataverse sends it."""
        return exact_json.dumps(self.document).replace(b"/", rb"\/")


# --- bytes -> document ----------------------------------------------------------------------------------------


def _parse(body: bytes) -> dict[str, Any]:
    _refuse_other_formats(body)
    try:
        document = json.loads(body, parse_float=_fraction, parse_int=_integer, parse_constant=_refuse)
        # Half a surrogate pair is valid JSON, but cannot be stored or sent as text.
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidRemoteContextError(f"The notification is not JSON: {error}.") from None
    if not isinstance(document, dict) or not isinstance(document.get("MessageName"), str):
        raise InvalidRemoteContextError("The body is not a RemoteExecutionContext: it has no MessageName.")
    return document


def _refuse_other_formats(body: bytes) -> None:
    first = body.lstrip(_BYTES_BEFORE_TEXT)[:1]
    if first == b"<":
        found = "XML"
    elif first == b"@":  # the first byte of an element in .NET's binary XML
        found = ".NET binary"
    else:
        return
    raise UnsupportedMessageFormatError(
        f"The notification is a {found} message, which is not read here. Set messageformat of the service endpoint to "
        "2 (JSON). See https://learn.microsoft.com/power-apps/developer/data-platform/azure-integration"
    )


def _fraction(text: str) -> Decimal:
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > _MOST_DIGITS:
        raise ValueError(f"{text[:40]} is not a number of .NET")
    return number


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _LONGEST_INTEGER else _fraction(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


# --- document -> context --------------------------------------------------------------------------------------


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

    def pairs(self, key: str, decode: Any = decode_value) -> dict[str, Any]:
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


def _read(document: Any, host: ExecutionHost, path: str = "") -> PluginContext:
    if not isinstance(document, dict):
        raise InvalidRemoteContextError(f"{path.rstrip('.')} is not an object.")
    members = _Members(document, path)
    extension, parent = document.get("OwningExtension"), document.get("ParentContext")
    return PluginContext(
        _read_operation(members),
        host,
        stage=members.number("Stage", 40),
        mode=members.number("Mode", 0),
        owning_extension=decode_reference(extension, members.where("OwningExtension")) if extension else _NO_EXTENSION,
        user_id=members.id("UserId"),
        is_in_transaction=members.flag("IsInTransaction"),
        shared_variables=members.pairs("SharedVariables"),
        parent_context=None if parent is None else _read(parent, INERT_HOST, members.where("ParentContext.")),
        pre_entity_images=members.pairs("PreEntityImages", decode_entity),
        post_entity_images=members.pairs("PostEntityImages", decode_entity),
        isolation_mode=members.number("IsolationMode", 1),
    )


_NO_EXTENSION = EntityReference("sdkmessageprocessingstep")


def _read_operation(members: _Members) -> MessageOperation:
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


def _looks_trimmed(document: Mapping[str, Any], context: PluginContext) -> bool:
    """Whether parameters are missing or empty, as only trimming leaves them for a message about a table."""
    about_a_table = context.primary_entity_name != "none" and context.primary_entity_id != EMPTY_GUID
    return about_a_table and not any(document.get(key) for key in TRIMMED_KEYS)


# --- context -> document --------------------------------------------------------------------------------------


def _write(context: PluginContext, isolation_mode: int | None) -> dict[str, Any]:
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
        document["ParentContext"] = _write(context.parent_context, isolation_mode)
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
