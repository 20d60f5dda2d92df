"""The status machine: computes the columns to write on a row because of an event. Pure.

Stripe delivers events late, twice and in any order, with timestamps of whole seconds. The result therefore never
depends on their order: the row keeps a ledger (:mod:`azure_bridge.ledger`), the event is joined into it, and the
columns people read are computed from the ledger alone. ``docs/payment-status.md`` explains the rules to users.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from azure_bridge.ledger import NEVER, PAID, Ledger, dump, join, lifecycle, load
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.payment_facts import RECEIVED, ledger_of_event, moves_money
from azure_bridge.tables import PaymentStatus, PaymentTable
from dataverse_client.types import Entity, Money, OptionSetValue

#: They hide the status a payment reached. On a row without a ledger they imply that it was paid.
_OVERLAYS = frozenset({PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.DISPUTED})
_REFUND_UNDONE = frozenset({"failed", "canceled"})
_DISPUTE_OVER = frozenset({"warning_closed", "charge_refunded", "prevented", "won"})


class Standing(Enum):
    """Whether an event is about the intent or session that its row holds now."""

    OWN = auto()
    #: It is about an intent or session that the row no longer holds, and no money moved: nothing is to be done.
    SUPERSEDED = auto()
    #: Money moved on an intent that is not the row's. A person has to look at it.
    MONEY_ELSEWHERE = auto()


def standing(row: Entity, event: PaymentEvent, table: PaymentTable) -> Standing:
    """Whether ``event``, for which ``row`` was found, is about the row's own intent or session."""
    if _is_own(_ledger_of(row, table), event):
        return Standing.OWN
    return Standing.MONEY_ELSEWHERE if moves_money(event) else Standing.SUPERSEDED


def changes(row: Entity, event: PaymentEvent, table: PaymentTable) -> dict[str, Any] | None:
    """The columns to write on ``row`` because of ``event``; None when there is nothing to write.

    ``row`` has the present values of ``table.columns``. For a row without a ledger, one is made from its columns. An
    event that is not the row's own changes nothing, but for a canceled intent that may turn out to be: it is noted in
    the ledger until the row's session is known to have made it.

    Raises:
      UnsupportedCurrencyError: the event's amounts are in a currency that cannot be converted.
    """
    ledger = _ledger_of(row, table)
    if event.intent_id in ledger.left:
        return None
    if _may_end_a_visit(ledger, event):
        told = Ledger(canceled=(str(event.intent_id),))
    elif _is_own(ledger, event):
        told = ledger_of_event(event)
    else:
        return None
    columns = _columns(join(ledger, told), table)
    return {name: value for name, value in columns.items() if row.get(name) != value} or None


def _is_own(ledger: Ledger, event: PaymentEvent) -> bool:
    if event.intent_id in ledger.left or (ledger.pinned_intent is None and not _may_adopt(ledger, event)):
        return False
    pins = ((ledger.pinned_intent, event.intent_id), (ledger.pinned_session, event.checkout_session_id))
    agreements = [pinned == named for pinned, named in pins if pinned and named]
    return any(agreements) if agreements else ledger.pinned_intent is None


def _may_adopt(ledger: Ledger, event: PaymentEvent) -> bool:
    """Whether a row that held no intent at first may take over the event's."""
    if _may_end_a_visit(ledger, event):
        # When a session is replaced its intent is canceled too; only that of the row's own session cancels the row.
        return event.intent_id == ledger.session_intent
    strength, _, _, intent = ledger.intent
    # A second paid intent is not added up: a person has to look at it.
    return not (strength == PAID and moves_money(event) and event.intent_id not in (None, intent))


def _may_end_a_visit(ledger: Ledger, event: PaymentEvent) -> bool:
    """Whether it is the end of an intent that the row's session made, or one that it replaced."""
    holds_only_a_session = ledger.pinned_session is not None and ledger.pinned_intent is None
    return holds_only_a_session and event.event_type == "payment_intent.canceled" and event.intent_id is not None


def _ledger_of(row: Entity, table: PaymentTable) -> Ledger:
    """The row's ledger; a new one when the row has been given another intent or session since."""
    intent = _text(row, table.columns.intent_id)
    session = _text(row, table.columns.checkout_session_id)
    kept = load(row.get(table.columns.ledger))
    if kept is None:
        return _start(row, table, intent, session)
    if (intent, session) == (kept.intent_id, kept.session_id):
        return kept
    return Ledger(
        pinned_intent=intent if intent != kept.intent_id else kept.pinned_intent,
        pinned_session=session if session != kept.session_id else kept.pinned_session,
        lifecycle=lifecycle(PaymentStatus.PENDING, 0),
        left=_left(kept, intent, session),
    )


def _left(kept: Ledger, intent: str | None, session: str | None) -> tuple[str, ...]:
    """The intents left by a row that now has ``intent`` and ``session``. One whose id was just cleared is not left."""
    has_another = intent not in (None, kept.intent_id) or session not in (None, kept.session_id)
    former = {*kept.left, kept.intent_id} if has_another else {*kept.left}
    return tuple(sorted(each for each in former if each and each != intent))


def _start(row: Entity, table: PaymentTable, intent: str | None, session: str | None) -> Ledger:
    """The ledger that the columns of a row without one amount to."""
    columns, status = table.columns, status_shown(row, table)
    paid_on, received = _value(row, columns.paid_on), _amount(row, columns.amount_received)
    return Ledger(
        pinned_intent=intent,
        pinned_session=session,
        lifecycle=lifecycle(PaymentStatus.COMPLETED if status in _OVERLAYS else status, 0),
        failure=(0, "", _text(row, columns.failure_code) or "", _text(row, columns.failure_message) or ""),
        received=(RECEIVED, received) if received else (0, Decimal(0)),
        paid_at=int(paid_on.timestamp()) if isinstance(paid_on, datetime) else NEVER,
        refunded=_amount(row, columns.amount_refunded),
    )


def _columns(ledger: Ledger, table: PaymentTable) -> dict[str, Any]:
    """The row's columns as the ledger has them, without those that are not known yet."""
    columns, status, refunded = table.columns, _status_of(ledger), _refunded(ledger)
    _, _, code, message = ledger.failure if status is PaymentStatus.FAILED else (0, "", "", "")
    values: dict[str | None, Any] = {
        columns.intent_id: ledger.intent_id,
        columns.checkout_session_id: ledger.session_id,
        columns.failure_code: code or None,
        columns.failure_message: message or None,
        columns.last_event: _last_event(ledger),
        columns.ledger: dump(ledger),
    }
    if status in table.statuses:
        values[columns.status] = OptionSetValue(table.statuses[status])
    if ledger.received[0]:
        values[columns.amount_received] = Money(ledger.received[1])
    if ledger.refunded or ledger.refunds:
        values[columns.amount_refunded] = Money(refunded)
    if ledger.paid_at != NEVER:
        values[columns.paid_on] = datetime.fromtimestamp(ledger.paid_at, UTC)
    return {name: value for name, value in values.items() if name is not None}


def _status_of(ledger: Ledger) -> PaymentStatus:
    received, refunded = ledger.received[1], _refunded(ledger)
    if any(status not in _DISPUTE_OVER for _, status in ledger.disputes.values()):
        return PaymentStatus.DISPUTED
    if refunded and refunded >= received > 0:
        return PaymentStatus.REFUNDED
    return PaymentStatus.PARTIALLY_REFUNDED if refunded else ledger.reached


def _refunded(ledger: Ledger) -> Decimal:
    """The amount that was given back to the customer."""
    if not ledger.received[1] and ledger.reached is not PaymentStatus.COMPLETED:
        return Decimal(0)  # Stripe reports the release of an authorization as a refund, though nothing was taken.
    known = sum((amount for _, _, amount in ledger.refunds.values()), Decimal(0))
    undone = sum((amount for _, status, amount in ledger.refunds.values() if status in _REFUND_UNDONE), Decimal(0))
    return max(max(ledger.refunded, known) - undone - ledger.released, Decimal(0))


def _last_event(ledger: Ledger) -> str:
    second, _, _, event_id, event_type = ledger.last
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ} {event_type} {event_id}"


def status_shown(row: Entity, table: PaymentTable) -> PaymentStatus:
    """The status in the row's column; Draft when it is empty or unknown."""
    shown = row.get(table.columns.status)
    return next(
        (status for status, number in table.statuses.items() if shown == OptionSetValue(number)), PaymentStatus.DRAFT
    )


def _value(row: Entity, column: str | None) -> Any:
    return row.get(column) if column else None


def _text(row: Entity, column: str | None) -> str | None:
    value = _value(row, column)
    return value if isinstance(value, str) and value else None


def _amount(row: Entity, column: str | None) -> Decimal:
    value = _value(row, column)
    return value.value if isinstance(value, Money) else Decimal(0)
