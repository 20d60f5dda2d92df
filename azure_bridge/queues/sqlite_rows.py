"""Messages as rows of the queue file, and back. Times there are microseconds since 1970, UTC."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

from azure_bridge.queues.contract import PeekedMessage, QueueMessage, ReceivedMessage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def columns(message: QueueMessage) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "correlation_id": message.correlation_id,
        "subject": message.subject,
        "session_id": message.session_id,
        "content_type": message.content_type,
        "application_properties": json.dumps(dict(message.application_properties)),
        "body": message.body,
    }


def message_of(row: sqlite3.Row) -> QueueMessage:
    return QueueMessage(
        body=row["body"],
        message_id=row["message_id"],
        correlation_id=row["correlation_id"],
        subject=row["subject"],
        session_id=row["session_id"],
        content_type=row["content_type"],
        application_properties=json.loads(row["application_properties"]),
    )


def received(row: sqlite3.Row) -> ReceivedMessage:
    return ReceivedMessage(
        message=message_of(row),
        lock_token=row["lock_token"],
        sequence_number=row["sequence_number"],
        enqueued_at=moment(row["enqueued_at"]),
        locked_until=moment(row["visible_at"]),
        delivery_count=row["delivery_count"],
        attempt=row["attempt"],
    )


def peeked(row: sqlite3.Row, now: int) -> PeekedMessage:
    later = moment(row["visible_at"]) if row["visible_at"] > now and row["dead_letter_reason"] is None else None
    locked = row["lock_token"] is not None
    return PeekedMessage(
        message=message_of(row),
        sequence_number=row["sequence_number"],
        enqueued_at=moment(row["enqueued_at"]),
        delivery_count=row["delivery_count"],
        attempt=row["attempt"],
        scheduled_for=None if locked else later,
        locked_until=later if locked else None,
        dead_letter_reason=row["dead_letter_reason"],
        dead_letter_description=row["dead_letter_description"],
    )


def microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def span(duration: timedelta) -> int:
    return duration // _MICROSECOND
