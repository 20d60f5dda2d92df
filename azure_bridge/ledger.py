"""The ledger of a payment, kept in a column of its row: what is known from all its events, and how ledgers are joined.

Each field is joined by maximum, minimum or union. Such a join is commutative, associative and idempotent, so by
construction neither the order nor the repetition of events can matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import orjson

from azure_bridge.tables import PaymentStatus

#: Later than any event. JSON readers keep integers up to this one exact.
NEVER = 2**53

#: The tiers of a payment's life cycle. A higher tier always wins; within the open tier the later second does, then the
#: higher rank.
OPEN, HELD, FINAL = 0, 1, 2
_PLACES: Mapping[PaymentStatus, tuple[int, int]] = {
    PaymentStatus.DRAFT: (OPEN, 0),
    PaymentStatus.PENDING: (OPEN, 1),
    PaymentStatus.REQUIRES_ACTION: (OPEN, 2),
    PaymentStatus.PROCESSING: (OPEN, 3),
    PaymentStatus.FAILED: (OPEN, 4),
    PaymentStatus.AUTHORIZED: (HELD, 0),
    PaymentStatus.CANCELED: (FINAL, 0),
    # Stripe never reports both for one payment. If it did, received money would have to show.
    PaymentStatus.COMPLETED: (FINAL, 1),
}
#: How strongly an event ties an intent to a row: it names both, the row's checkout session names it, it was paid.
NAMED, BY_SESSION, PAID = 1, 2, 3
_REACHED = {place: status for status, place in _PLACES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What is known of one payment. Times are Unix seconds, amounts in the currency's own unit.

    ``pinned_*`` are the ids that the row held before any event was applied; the bridge never replaces them.
    """

    pinned_intent: str | None = None
    pinned_session: str | None = None
    #: tier, second (0 outside the open tier), rank.
    lifecycle: tuple[int, int, int] = (OPEN, 0, 0)
    #: strength of the claim, second, event id, intent id.
    intent: tuple[int, int, str, str] = (0, 0, "", "")
    #: second, event id, session id.
    session: tuple[int, str, str] = (0, "", "")
    #: second, event id, code, message.
    failure: tuple[int, str, str, str] = (0, "", "", "")
    #: strength of the claim (0: none yet), amount.
    received: tuple[int, Decimal] = (0, Decimal(0))
    paid_at: int = NEVER
    #: The part of an authorization that was not captured. Stripe counts it among the refunds.
    released: Decimal = Decimal(0)
    #: The total that Stripe reported as refunded, including refunds that failed later.
    refunded: Decimal = Decimal(0)
    #: refund id -> rank, status, amount.
    refunds: Mapping[str, tuple[int, str, Decimal]] = field(default_factory=dict)
    #: dispute id -> rank, status.
    disputes: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    #: Of a row that holds only a session: the intents that were canceled, whichever session made them.
    canceled: tuple[str, ...] = ()
    #: The intents that the row had before the one it has now.
    left: tuple[str, ...] = ()
    #: The last event: second, tier and rank (which order events of the same second), event id, event type.
    last: tuple[int, int, int, str, str] = (0, 0, 0, "", "")

    @property
    def intent_id(self) -> str | None:
        return self.pinned_intent or self.intent[-1] or None

    @property
    def session_id(self) -> str | None:
        return self.pinned_session or self.session[-1] or None

    @property
    def reached(self) -> PaymentStatus:
        """How far the payment came, leaving refunds and disputes aside."""
        tier, _, rank = self.lifecycle
        reached = _REACHED[tier, rank]
        is_canceled = reached is not PaymentStatus.COMPLETED and self.session_intent in self.canceled
        return PaymentStatus.CANCELED if is_canceled else reached

    @property
    def session_intent(self) -> str | None:
        """The intent that the row's checkout session is known to have made."""
        strength, *_, intent = self.intent
        return intent if strength >= BY_SESSION else None


def lifecycle(status: PaymentStatus, second: int) -> tuple[int, int, int]:
    """The value of :attr:`Ledger.lifecycle` for a ``status`` that was reported at ``second``."""
    tier, rank = _PLACES[status]
    return tier, second if tier == OPEN else 0, rank


def join(one: Ledger, other: Ledger) -> Ledger:
    """The join of both. Pinned ids and intents left are those of ``one``, the row's ledger; events have none."""
    return Ledger(
        pinned_intent=one.pinned_intent,
        pinned_session=one.pinned_session,
        lifecycle=max(one.lifecycle, other.lifecycle),
        intent=max(one.intent, other.intent),
        session=max(one.session, other.session),
        failure=max(one.failure, other.failure),
        received=max(one.received, other.received),
        paid_at=min(one.paid_at, other.paid_at),
        released=max(one.released, other.released),
        refunded=max(one.refunded, other.refunded),
        refunds=_furthest(one.refunds, other.refunds),
        disputes=_furthest(one.disputes, other.disputes),
        canceled=tuple(sorted({*one.canceled, *other.canceled})),
        left=one.left,
        last=max(one.last, other.last),
    )


Progress = TypeVar("Progress", tuple[int, str, Decimal], tuple[int, str])


def _furthest(one: Mapping[str, Progress], other: Mapping[str, Progress]) -> Mapping[str, Progress]:
    both = {key: max(one[key], other[key]) for key in one.keys() & other.keys()}
    return {**one, **other, **both}


def turned(text: object, *left: str) -> str:
    """The ledger to give a row, whose column held ``text``, together with a new intent or session.

    ``left`` are the intents that the row has until then. Their late events are not about the new one.
    """
    kept = load(text) or _EMPTY
    return dump(Ledger(left=tuple(sorted({*kept.left, *left}))))


def dump(ledger: Ledger) -> str:
    """The ledger as canonical JSON: equal ledgers are equal text."""
    values = {name: value for name in _READ if (value := getattr(ledger, name)) != getattr(_EMPTY, name)}
    return orjson.dumps(values, default=_digits, option=orjson.OPT_SORT_KEYS).decode()


def load(text: object) -> Ledger | None:
    """The ledger in a row's column; None when the column is empty or unreadable."""
    if not isinstance(text, str):
        return None
    try:
        values = orjson.loads(text)
        ledger = Ledger(**{name: read(values[name]) for name, read in _READ.items() if name in values})
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        return None
    tier, _, rank = ledger.lifecycle
    return ledger if (tier, rank) in _REACHED else None


def _digits(amount: Any) -> str:
    return format(amount.normalize(), "f")


def _each(*kinds: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda values: tuple(kind(value) for kind, value in zip(kinds, values, strict=True))


def _by_id(*kinds: Callable[[Any], Any]) -> Callable[[Any], dict[str, tuple[Any, ...]]]:
    read = _each(*kinds)
    return lambda entries: {str(key): read(values) for key, values in entries.items()}


_READ: Mapping[str, Callable[[Any], Any]] = {
    "pinned_intent": str,
    "pinned_session": str,
    "lifecycle": _each(int, int, int),
    "intent": _each(int, int, str, str),
    "session": _each(int, str, str),
    "failure": _each(int, str, str, str),
    "received": _each(int, Decimal),
    "paid_at": int,
    "released": Decimal,
    "refunded": Decimal,
    "refunds": _by_id(int, str, Decimal),
    "disputes": _by_id(int, str),
    "canceled": lambda ids: tuple(str(each) for each in ids),
    "left": lambda ids: tuple(str(each) for each in ids),
    "last": _each(int, int, int, str, str),
}
_EMPTY = Ledger()
