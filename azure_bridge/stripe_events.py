"""Turns a Stripe snapshot event into a PaymentEvent.

Events of any API version from 2020 on can be read: unknown fields are ignored, missing ones become None. How to read
an event is decided by ``data.object.object``, not by the event's type.
Source: https://docs.stripe.com/api/events/object
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from azure_bridge.correlation import read_metadata
from azure_bridge.errors import EventUnreadableError
from azure_bridge.payment_event import DisputeFact, PaymentEvent, RefundFact
from azure_bridge.queues.contract import MAX_MESSAGE_ID
from azure_bridge.tables import PaymentTable

#: Stripe's ids have at most 255 characters, its codes far fewer. Longer values are ignored.
_LONGEST_ID = 255
_LONGEST_CODE = 80
_LONGEST_MESSAGE = 500

StripeObject: TypeAlias = Mapping[str, Any]


def check_snapshot(event: object) -> Mapping[str, Any]:
    """``event`` itself, after checking that it has the fields every snapshot event has.

    Raises:
      EventUnreadableError: a thin event, another kind of object, or a required field is missing.
    """
    if not isinstance(event, dict):
        raise EventUnreadableError("The body is JSON, but not an object: send Stripe's event as it came")
    if event.get("object") == "v2.core.event":
        raise EventUnreadableError(
            "This is a thin event, which carries no payment: create the event destination with snapshot payloads"
        )
    found = (
        _name(event.get("id"), MAX_MESSAGE_ID),
        _code(event.get("type")),
        _instant(event.get("created")),
        isinstance(_object_of(event), dict),
    )
    if not all(found):
        wrong = [name for name, value in zip(("id", "type", "created", "data.object"), found, strict=True) if not value]
        raise EventUnreadableError(f"This is not a Stripe event: {', '.join(wrong)} is missing or malformed")
    return event


def payment_event(event: Mapping[str, Any], tables: Sequence[PaymentTable]) -> PaymentEvent | None:
    """The PaymentEvent for a checked snapshot event; None when its object is not about a payment."""
    snapshot = _object_of(event)
    read = _READERS.get(_code(snapshot.get("object")) or "")
    if read is None:
        return None
    return PaymentEvent(
        event_id=event["id"],
        event_type=event["type"],
        created=datetime.fromtimestamp(event["created"], UTC),
        livemode=event.get("livemode") is True,
        object_id=_id(snapshot.get("id")) or "",
        status=_code(snapshot.get("status")),
        currency=_code(snapshot.get("currency")),
        **read_metadata(snapshot.get("metadata"), tables),
        **read(snapshot),
    )


def _object_of(event: Mapping[str, Any]) -> Any:
    data = event.get("data")
    return data.get("object") if isinstance(data, dict) else None


def _intent(intent: StripeObject) -> dict[str, Any]:
    return {
        "intent_id": _id(intent.get("id")),
        "amount": _amount(intent.get("amount")),
        "amount_received": _amount(intent.get("amount_received")),
        "cancellation_reason": _code(intent.get("cancellation_reason")),
        **_failure(intent),
    }


def _failure(intent: StripeObject) -> dict[str, Any]:
    error = intent.get("last_payment_error")
    if isinstance(error, dict):
        return {
            "failure_code": _code(error.get("code")),
            "decline_code": _code(error.get("decline_code")),
            "failure_message": _message(error.get("message")),
        }
    # Until 2022-11-15 intents listed their charges, newest first; some failures are only reported there.
    charges = intent.get("charges")
    listed = charges.get("data") if isinstance(charges, dict) else None
    charge = listed[0] if isinstance(listed, list) and listed else None
    if not isinstance(charge, dict):
        return {}
    return {
        "failure_code": _code(charge.get("failure_code")),
        "failure_message": _message(charge.get("failure_message")),
    }


def _session(session: StripeObject) -> dict[str, Any]:
    return {
        "checkout_session_id": _id(session.get("id")),
        "intent_id": _id(session.get("payment_intent")),
        "payment_status": _code(session.get("payment_status")),
        "amount": _amount(session.get("amount_total")),
    }


def _charge(charge: StripeObject) -> dict[str, Any]:
    # Stripe reports the release of an authorization as a refund of a charge that was never captured.
    was_captured = charge.get("captured") is not False
    return {
        "intent_id": _id(charge.get("payment_intent")),
        "amount": _amount(charge.get("amount")),
        "amount_received": _amount(charge.get("amount_captured")) if was_captured else None,
        "amount_refunded": _amount(charge.get("amount_refunded")) if was_captured else None,
    }


def _refund(refund: StripeObject) -> dict[str, Any]:
    refund_id, amount = _id(refund.get("id")), _amount(refund.get("amount"))
    fact = None
    if refund_id and amount is not None:
        fact = RefundFact(refund_id=refund_id, status=_code(refund.get("status")) or "pending", amount=amount)
    return {"intent_id": _id(refund.get("payment_intent")), "amount": amount, "refund": fact}


def _dispute(dispute: StripeObject) -> dict[str, Any]:
    dispute_id, status = _id(dispute.get("id")), _code(dispute.get("status"))
    fact = None
    if dispute_id and status:
        fact = DisputeFact(dispute_id=dispute_id, status=status, reason=_code(dispute.get("reason")))
    return {
        "intent_id": _id(dispute.get("payment_intent")),
        "amount": _amount(dispute.get("amount")),
        "dispute": fact,
    }


_READERS: Mapping[str, Callable[[StripeObject], dict[str, Any]]] = {
    "payment_intent": _intent,
    "checkout.session": _session,
    "charge": _charge,
    "refund": _refund,
    "dispute": _dispute,
}


def _id(value: object) -> str | None:
    """An id, or the id of an expanded object."""
    return _name(value.get("id") if isinstance(value, dict) else value, _LONGEST_ID)


def _code(value: object) -> str | None:
    return _name(value, _LONGEST_CODE)


def _name(value: object, longest: int) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= longest and value.isascii() and value.isprintable():
        return value
    return None


def _message(value: object) -> str | None:
    return value[:_LONGEST_MESSAGE] if isinstance(value, str) and value else None


def _amount(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _instant(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None
    except (OverflowError, ValueError, OSError):
        return None
