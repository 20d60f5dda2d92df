"""The messages of the queue "dataverse-events". Each is a RemoteExecutionContext document.

- A notification is the body as Dataverse sent it, through our webhook or directly to the queue.
- An after-commit message has a member of our own, which names a step that ran inside the transaction, and its changes
  to Target, which are still to be written to the row.
- A begun message is sent before that step runs, in case its process is killed. It names the step alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from azure_bridge.queues.contract import QueueMessage
from dataverse_client import exact_json
from dataverse_client.types import EMPTY_GUID
from runner.intake.envelope import Envelope
from runner.intake.targets import is_multiple, row_by_row
from runner.plugin import PluginContext
from runner.remote_context.context import RemoteContext
from runner.remote_context.decoding import decode_pairs, decode_value
from runner.remote_context.encoding import encode_pairs, encode_value
from runner.remote_context.errors import InvalidRemoteContextError

#: What Dataverse sets on a Service Bus message that it had to trim.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/azure-integration
SIZE_EXCEEDED = "MessageMaxSizeExceeded"

_BEGUN = "RunnerBegun"
_AFTER_COMMIT = "RunnerAfterCommit"


@dataclass(frozen=True, slots=True)
class Begun:
    """A step is running inside the transaction that ``remote`` describes, and is about to use a service outside CRM."""

    remote: RemoteContext
    step_id: str


@dataclass(frozen=True, slots=True)
class AfterCommit:
    """A step ran inside the transaction that ``remote`` describes; ``changes`` are to be written if it commits.

    ``changes`` is None when the process was killed before it had answered Dataverse, which therefore cannot commit.
    """

    remote: RemoteContext
    step_id: str
    changes: Mapping[str, Any] | None


def notification_messages(body: bytes, remote: RemoteContext) -> list[QueueMessage]:
    """The messages that carry a notification: one, or one for each row of a *Multiple message."""
    parts = row_by_row(remote)
    if len(parts) == 1 and parts[0] is remote:
        return [notification_message(body, remote)]
    return [notification_message(part.encode(), part) for part in parts]


def notification_message(body: bytes, remote: RemoteContext) -> QueueMessage:
    """The message that carries a notification about one row. A repeated notification gets the same id."""
    properties = {SIZE_EXCEEDED: "true"} if remote.is_trimmed else {}
    return _message(body, remote.context, _identity_of(body, remote.context), properties)


def unopened_message(body: bytes, envelope: Envelope) -> QueueMessage:
    """As :func:`notification_message`, for a notification of which only the envelope was read."""
    return _message(body, envelope, _identity(body, envelope.operation_id, envelope.owning_extension_id), {})


def begun_message(begun: Begun) -> QueueMessage:
    """The message that lets another process undo the step if this one is killed."""
    return _our_message(begun.remote, _BEGUN, {"StepId": begun.step_id}, "begun")


def after_commit_message(after: AfterCommit) -> QueueMessage:
    """The message that is handled when the transaction has ended. A step has one per row, whatever its changes."""
    changes = None if after.changes is None else encode_pairs(after.changes, encode_value)
    return _our_message(after.remote, _AFTER_COMMIT, {"StepId": after.step_id, "Changes": changes}, "after")


def _our_message(remote: RemoteContext, name: str, member: Mapping[str, Any], suffix: str) -> QueueMessage:
    body = exact_json.dumps({**remote.document, name: member})
    identity = f"{_identity_of(body, remote.context)}:{suffix}:{member['StepId']}"
    return _message(body, remote.context, identity, {})


def read_message(message: QueueMessage) -> RemoteContext | Begun | AfterCommit:
    """What a queue message carries. Raises RemoteContextError when its body is none of the three."""
    size_exceeded = SIZE_EXCEEDED in message.application_properties
    remote = RemoteContext.decode(message.body, size_exceeded=size_exceeded)
    begun, after = remote.document.get(_BEGUN), remote.document.get(_AFTER_COMMIT)
    # An after-commit message made from a begun one has both members.
    if after is not None:
        return AfterCommit(remote, _step_id(after, _AFTER_COMMIT), _changes(after.get("Changes")))
    return remote if begun is None else Begun(remote, _step_id(begun, _BEGUN))


def _step_id(member: Any, name: str) -> str:
    if not isinstance(member, dict) or not isinstance(member.get("StepId"), str):
        raise InvalidRemoteContextError(f"{name} names no step.")
    return str(member["StepId"])


def _changes(pairs: Any) -> Mapping[str, Any] | None:
    return None if pairs is None else decode_pairs(pairs, f"{_AFTER_COMMIT}.Changes", decode_value)


def _identity_of(body: bytes, context: PluginContext) -> str:
    operation = context.operation_id
    if operation != EMPTY_GUID and is_multiple(context.message_name):
        operation = str(uuid5(UUID(operation), context.primary_entity_id))
    return _identity(body, operation, context.owning_extension.id)


def _identity(body: bytes, operation_id: str, step_id: str) -> str:
    """The id for duplicate detection: when Dataverse repeats a notification, operation and step stay the same."""
    return hashlib.sha256(body).hexdigest() if operation_id == EMPTY_GUID else f"{operation_id}:{step_id}"


def _message(
    body: bytes, context: PluginContext | Envelope, identity: str, properties: Mapping[str, str]
) -> QueueMessage:
    return QueueMessage(
        body=body,
        message_id=identity,
        correlation_id=context.correlation_id,
        subject=f"{context.message_name} of {context.primary_entity_name}"[:128],
        session_id=f"{context.primary_entity_name}:{context.primary_entity_id}"[:128],
        application_properties=dict(properties),
    )
