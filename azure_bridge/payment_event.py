"""PaymentEvent: the small message that travels from the receiver to the processor, and its JSON.

It holds what the CRM side needs of a Stripe event and nothing more: no card, no customer, no client secret.
Bodies are versioned and always under 4 KB. A reader ignores fields it does not know and takes missing ones as None,
so that old and new bridges can share a queue; what it must not guess at is raised as ``version``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar, get_type_hints

import orjson

from azure_bridge.errors import PaymentEventError, UnknownVersionError
from dataverse_client.types import is_guid

VERSION = 1
#: Every encoded body is shorter than this, in bytes.
MAX_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFact:
    """One refund as its event saw it. ``status``: pending, requires_action, succeeded, failed, canceled."""

    refund_id: str
    status: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFact:
    """One dispute as its event saw it. ``status`` is Stripe's: needs_response, under_review, won, lost ..."""

    dispute_id: str
    status: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """What became of the money, in Stripe's words. Amounts are integers in the currency's minor units.

    ``row_table`` and ``row_id`` come from the intent's or session's metadata and name the CRM row; refunds,
    disputes and foreign intents carry none and are found by ``intent_id``.
    Source: https://docs.stripe.com/api/events/object
    """

    event_id: str
    event_type: str
    created: datetime
    livemode: bool
    object_id: str
    intent_id: str | None = None
    checkout_session_id: str | None = None
    #: The intent's or session's own status, as the event saw it.
    status: str | None = None
    #: A checkout session's ``payment_status``: paid, unpaid, no_payment_required.
    payment_status: str | None = None
    currency: str | None = None
    #: What was asked for: of the intent, the session or the charge.
    amount: int | None = None
    #: What came in: an intent's ``amount_received``, a charge's ``amount_captured``.
    amount_received: int | None = None
    #: ``charge.refunded`` only: all that was refunded of the charge so far.
    amount_refunded: int | None = None
    failure_code: str | None = None
    decline_code: str | None = None
    failure_message: str | None = None
    cancellation_reason: str | None = None
    refund: RefundFact | None = None
    dispute: DisputeFact | None = None
    organization_id: str | None = None
    row_table: str | None = None
    row_id: str | None = None
    sales_order_id: str | None = None
    correlation_id: str | None = None
    version: int = VERSION

    @property
    def subject(self) -> str:
        """The id of the intent it is about, else of the session, else of the object it reports."""
        return self.intent_id or self.checkout_session_id or self.object_id


def encode(event: PaymentEvent) -> bytes:
    """The event as a message body: JSON without what is None."""
    body = _dump(event)
    if len(body) >= MAX_BYTES:
        body = _dump(replace(event, failure_message=None))
    return body


def decode(body: bytes) -> PaymentEvent:
    """The event a body carries.

    Raises:
      UnknownVersionError: a newer bridge wrote it.
      PaymentEventError: not JSON, or a field is missing or cannot be used.
    """
    values = _load(body)
    values["created"] = _instant(values.get("created"))
    if isinstance(values.get("refund"), dict):
        values["refund"] = _build(RefundFact, values["refund"])
    if isinstance(values.get("dispute"), dict):
        values["dispute"] = _build(DisputeFact, values["dispute"])
    event = _build(PaymentEvent, values)
    # It would make the query for all rows of a batch invalid.
    if event.row_id is not None and not is_guid(event.row_id):
        raise PaymentEventError(f"row_id {event.row_id!r} is not a GUID")
    return event


def _dump(event: PaymentEvent) -> bytes:
    facts = {name: value for name, value in zip(_NAMES, _VALUES(event), strict=True) if value is not None}
    return orjson.dumps(facts, option=orjson.OPT_UTC_Z)


def _load(body: bytes) -> dict[str, Any]:
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PaymentEventError(f"The body is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise PaymentEventError(f"The body is a JSON {type(values).__name__}, not an object")
    version = values.get("version")
    if isinstance(version, int) and version > VERSION:
        raise UnknownVersionError(f"PaymentEvent version {version} is newer than {VERSION}, the newest known here")
    return values


def _instant(value: object) -> datetime:
    with suppress(ValueError, OverflowError):
        if isinstance(value, str) and (instant := datetime.fromisoformat(value)).tzinfo:
            return instant.astimezone(UTC)
    raise PaymentEventError(f"'created' is {value!r}, not a time with its offset such as 2026-11-22T18:00:00Z")


T = TypeVar("T", PaymentEvent, RefundFact, DisputeFact)


def _build(kind: type[T], values: Mapping[str, Any]) -> T:
    known = {field.name: values[field.name] for field in _FIELDS[kind] if field.name in values}
    missing = [field.name for field in _FIELDS[kind] if field.default is MISSING and field.name not in known]
    wrong = [name for name, value in known.items() if not isinstance(value, _TYPES[kind][name])]
    if missing or wrong:
        complaint = [f"{name} is missing" for name in missing] + [f"{name} has the wrong type" for name in wrong]
        raise PaymentEventError(f"Not a {kind.__name__}: {', '.join(complaint)}")
    return kind(**known)


_FIELDS = {kind: fields(kind) for kind in (PaymentEvent, RefundFact, DisputeFact)}
_TYPES = {kind: get_type_hints(kind) for kind in _FIELDS}
_NAMES = tuple(field.name for field in _FIELDS[PaymentEvent])
_VALUES = attrgetter(*_NAMES)
