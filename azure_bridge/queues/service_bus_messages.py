"""Converts messages of the queue contract to those of the Azure SDK, and back.

A message that is retried later is sent again as a scheduled copy. Duplicate detection would drop a copy with the same
id, so the copy's id contains the attempt, and its properties hold the original id. Receivers see neither. Where a host
such as Azure Functions holds the lock, a dead letter is sent as a copy too, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

from azure_bridge.queues.contract import PeekedMessage, QueueMessage, ReceivedMessage, marked_id

if TYPE_CHECKING:
    import azure.functions as func

#: Characters. Service Bus takes no longer session id; ours only say which messages belong together.
#: Source: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
_MAX_SESSION_ID = 128

_ATTEMPT = "RetryAttempt"
_ATTEMPT_OF = "RetryOf"
_ENQUEUED_AT = "RetryEnqueuedAt"
_DEAD_LETTER_REASON = "DeadLetterReason"
_DEAD_LETTER_DESCRIPTION = "DeadLetterErrorDescription"
_SET_ASIDE_REASON = "SetAsideReason"
_SET_ASIDE_DESCRIPTION = "SetAsideDescription"
_OURS = frozenset(
    {
        _ATTEMPT,
        _ATTEMPT_OF,
        _ENQUEUED_AT,
        _DEAD_LETTER_REASON,
        _DEAD_LETTER_DESCRIPTION,
        _SET_ASIDE_REASON,
        _SET_ASIDE_DESCRIPTION,
    }
)


def outgoing(message: QueueMessage) -> ServiceBusMessage:
    return _outgoing(message, message.message_id, message.application_properties)


def scheduled_copy(message: ReceivedMessage, visible_at: datetime) -> ServiceBusMessage:
    """The copy to schedule. Two copies of the same attempt have the same id, and one of them is dropped."""
    attempt = message.attempt + 1
    copy = _copy(message, f"attempt-{attempt}", {_ATTEMPT: str(attempt)})
    copy.scheduled_enqueue_time_utc = visible_at
    return copy


def set_aside(message: ReceivedMessage, reason: str, description: str) -> ServiceBusMessage:
    """The copy that every receiver gives back, until the service makes it a dead letter."""
    verdict = {_SET_ASIDE_REASON: reason, _SET_ASIDE_DESCRIPTION: description}
    return _copy(message, "set-aside", {_ATTEMPT: str(message.attempt), **verdict})


def _copy(received: ReceivedMessage, mark: str, properties: Mapping[str, str]) -> ServiceBusMessage:
    message = received.message
    trail = {_ATTEMPT_OF: message.message_id, _ENQUEUED_AT: received.enqueued_at.isoformat()}
    copy_id = marked_id(message.message_id, mark)
    return _outgoing(message, copy_id, {**message.application_properties, **trail, **properties})


def _outgoing(message: QueueMessage, message_id: str, properties: Mapping[str, str]) -> ServiceBusMessage:
    return ServiceBusMessage(
        message.body,
        message_id=message_id,
        correlation_id=message.correlation_id,
        subject=message.subject,
        session_id=message.session_id and message.session_id[:_MAX_SESSION_ID],
        content_type=message.content_type,
        application_properties=dict(properties) or None,  # type: ignore[arg-type]  # str is among what it takes
    )


def received(message: ServiceBusReceivedMessage) -> ReceivedMessage:
    properties = _properties(message.application_properties)
    return ReceivedMessage(
        message=_message(message, properties, _body(message)),
        lock_token=str(message.lock_token),
        sequence_number=message.sequence_number or 0,
        enqueued_at=_enqueued_at(message.enqueued_time_utc, properties),
        locked_until=_utc(message.locked_until_utc),
        # The SDK counts deliveries from 0, and has None when the message's header has no count.
        delivery_count=(message.delivery_count or 0) + 1,
        attempt=_attempt(properties),
    )


def received_by_host(message: func.ServiceBusMessage) -> ReceivedMessage:
    """A message that Azure Functions passed to a function. The host holds its lock."""
    properties = _host_properties(message)
    return ReceivedMessage(
        message=_message(message, properties, message.get_body()),
        lock_token=message.lock_token or "",
        sequence_number=message.sequence_number or 0,
        enqueued_at=_enqueued_at(message.enqueued_time_utc, properties),
        locked_until=_utc(message.locked_until),
        delivery_count=message.delivery_count or 1,
        attempt=_attempt(properties),
    )


def verdict_on(message: func.ServiceBusMessage) -> str | None:
    """Why the message is to become a dead letter, if it is a copy from ``set_aside``; otherwise None."""
    properties = _host_properties(message)
    if _SET_ASIDE_REASON not in properties:
        return None
    return f"{properties[_SET_ASIDE_REASON]}: {properties.get(_SET_ASIDE_DESCRIPTION, '')}"


def _host_properties(message: func.ServiceBusMessage) -> dict[str, str]:
    return _properties(message.application_properties or message.user_properties)


def peeked(message: ServiceBusReceivedMessage) -> PeekedMessage:
    properties = _properties(message.application_properties)
    scheduled_for = message.scheduled_enqueue_time_utc
    return PeekedMessage(
        message=_message(message, properties, _body(message)),
        sequence_number=message.sequence_number or 0,
        enqueued_at=_enqueued_at(message.enqueued_time_utc, properties),
        delivery_count=message.delivery_count or 0,
        attempt=_attempt(properties),
        scheduled_for=None if scheduled_for is None else _utc(scheduled_for),
        # Our own reason first: for a copy from ``set_aside`` the service only has MaxDeliveryCountExceeded.
        dead_letter_reason=properties.get(_SET_ASIDE_REASON) or properties.get(_DEAD_LETTER_REASON),
        dead_letter_description=properties.get(_SET_ASIDE_DESCRIPTION) or properties.get(_DEAD_LETTER_DESCRIPTION),
    )


def _message(
    message: ServiceBusReceivedMessage | func.ServiceBusMessage, properties: Mapping[str, str], body: bytes
) -> QueueMessage:
    return QueueMessage(
        body=body,
        # Other senders may omit the id, or number their messages.
        message_id=properties.get(_ATTEMPT_OF) or _id(message.message_id) or f"sequence-{message.sequence_number}",
        correlation_id=_id(message.correlation_id),
        subject=message.subject,
        session_id=message.session_id,
        content_type=message.content_type or "application/json",
        application_properties={name: value for name, value in properties.items() if name not in _OURS},
    )


def _attempt(properties: Mapping[str, str]) -> int:
    """0 for a message of another sender, who may use this property for something else."""
    attempt = properties.get(_ATTEMPT, "")
    return int(attempt) if _ATTEMPT_OF in properties and attempt.isdecimal() else 0


def _enqueued_at(told: datetime | None, properties: Mapping[str, str]) -> datetime:
    """When the message was sent first: the service tells when its copy was."""
    with suppress(KeyError, ValueError):
        return datetime.fromisoformat(properties[_ENQUEUED_AT]).astimezone(UTC)
    return _utc(told)


def _properties(given: Mapping[Any, Any] | None) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in (given or {}).items()}


def _text(value: Any) -> str:
    """The SDK hands strings out as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _id(value: Any) -> str | None:
    """AMQP allows numbers, UUIDs and binary as ids, too."""
    return None if value is None else _text(value)


def _body(message: ServiceBusReceivedMessage) -> bytes:
    if message.body_type is AmqpMessageBodyType.DATA:
        return b"".join(message.body)
    return _text(message.body).encode()


def _utc(time: datetime | None) -> datetime:
    return (time or datetime.fromtimestamp(0, UTC)).astimezone(UTC)
