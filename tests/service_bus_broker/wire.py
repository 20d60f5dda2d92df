"""Messages as AMQP bytes, and back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from proton import Message, timestamp

from service_bus_broker.entity import Entity, Stored

_DATA = 0x75
#: Where the size of a list, map or binary stands, by its constructor: one byte or four.
_SIZE_BYTES = {0xA0: 1, 0xC0: 1, 0xC1: 1, 0xB0: 4, 0xD0: 4, 0xD1: 4}
_EMPTY_LIST = 0x45


def store(entity: Entity, payload: bytes) -> int:
    """Put one encoded message into the entity. Returns its sequence number; 0 for a duplicate."""
    message = decode(payload)
    scheduled = (message.annotations or {}).get("x-opt-scheduled-enqueue-time")
    return entity.accept(
        message,
        message.id,
        scheduled_for=None if scheduled is None else datetime.fromtimestamp(scheduled / 1000, UTC),
        time_to_live=timedelta(seconds=message.ttl) if message.ttl else None,
    )


def decode(payload: bytes) -> Message:
    message = Message()
    message.decode(payload)
    return message


def encode(stored: Stored, *, peeked: bool = False) -> bytes:
    """What a receiver gets: the message as sent, with what the service knows of it. Peeking tells no locks.

    Source: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide
    """
    message: Message = stored.content
    message.inferred = True
    # A header that says nothing would be left out, and the service always sends one.
    message.durable = True
    message.delivery_count = stored.failures
    message.annotations = {
        "x-opt-sequence-number": stored.sequence_number,
        "x-opt-enqueued-time": milliseconds(stored.enqueued_at),
    }
    if stored.locked_until is not None and not peeked:
        message.annotations["x-opt-locked-until"] = milliseconds(stored.locked_until)
    if stored.scheduled_for is not None:
        message.annotations["x-opt-scheduled-enqueue-time"] = milliseconds(stored.scheduled_for)
        message.annotations["x-opt-message-state"] = 2
    if stored.dead_letter_reason is not None:
        message.properties = {
            **(message.properties or {}),
            "DeadLetterReason": stored.dead_letter_reason,
            "DeadLetterErrorDescription": stored.dead_letter_description or "",
        }
    encoded: bytes = message.encode()
    return encoded


def milliseconds(time: datetime) -> timestamp:
    return timestamp(round(time.timestamp() * 1000))


def unpack(payload: bytes) -> list[bytes]:
    """The messages of one transfer: itself, or those of a batch.

    A batch carries each message, whole, as a data section. Its message format says so, but proton hides that;
    no JSON begins with the byte that begins an encoded message.
    """
    sections = list(_data_sections(payload))
    if sections and all(section.startswith(b"\x00") for section in sections):
        return sections
    return [payload]


def _data_sections(payload: bytes) -> Iterator[bytes]:
    at = 0
    while payload[at : at + 2] in (b"\x00\x53", b"\x00\x80"):
        # A descriptor is a small or a full unsigned long.
        short = payload[at + 1] == 0x53
        code = payload[at + 2] if short else int.from_bytes(payload[at + 2 : at + 10])
        at += 3 if short else 10
        constructor = payload[at]
        at += 1
        if constructor == _EMPTY_LIST:
            continue
        if constructor not in _SIZE_BYTES:
            return
        width = _SIZE_BYTES[constructor]
        size = int.from_bytes(payload[at : at + width])
        at += width
        if code == _DATA:
            yield payload[at : at + size]
        at += size
