"""Whatever the order and however often a payment's events arrive, the row ends the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from azure_bridge.ledger import Ledger, dump, join, load
from azure_bridge.payment_event import DisputeFact, PaymentEvent, RefundFact
from azure_bridge.payment_facts import ledger_of_event
from azure_bridge.payment_status import Standing, changes, standing
from azure_bridge.tables import PaymentStatus, PaymentTable
from dataverse_client.types import Entity, Money, OptionSetValue

TABLE = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOTAL = 12_900

#: A busy machine is no reason to fail.

seconds = st.integers(0, 3)


@st.composite
def attempts(draw: st.DrawFn) -> list[dict]:
    """Declines, 3-D Secure and bank debits, on the way to an end or none."""
    types = ["created", "requires_action", "processing", "payment_failed", "partially_funded"]
    return [
        {
            "event_type": f"payment_intent.{draw(st.sampled_from(types))}",
            "failure_code": draw(st.sampled_from([None, "card_declined", "expired_card"])),
            "failure_message": draw(st.sampled_from([None, "Your card was declined."])),
        }
        for _ in range(draw(st.integers(0, 4)))
    ]


ends = st.sampled_from(
    [
        [],
        [{"event_type": "payment_intent.succeeded", "amount_received": TOTAL}],
        [{"event_type": "payment_intent.canceled"}],
        [{"event_type": "payment_intent.amount_capturable_updated"}],
        [
            {"event_type": "payment_intent.amount_capturable_updated"},
            {"event_type": "payment_intent.succeeded", "amount_received": 9_900},
        ],
        [{"event_type": "payment_intent.amount_capturable_updated"}, {"event_type": "payment_intent.canceled"}],
    ]
)


@st.composite
def checkouts(draw: st.DrawFn) -> list[dict]:
    visits = [
        [("completed", "paid")],
        [("completed", "unpaid"), ("async_payment_succeeded", "paid")],
        [("completed", "unpaid"), ("async_payment_failed", "unpaid")],
        [("expired", "unpaid")],
        [],
    ]
    return [
        {"event_type": f"checkout.session.{name}", "payment_status": paid, "checkout_session_id": "cs_1"}
        for name, paid in draw(st.sampled_from(visits))
    ]


@st.composite
def refunds(draw: st.DrawFn) -> list[dict]:
    events, sum_so_far = [], 0
    for number in range(draw(st.integers(0, 2))):
        amount = draw(st.sampled_from([2_900, 5_000]))
        sum_so_far += amount
        path = draw(
            st.sampled_from([["succeeded"], ["pending", "succeeded", "failed"], ["requires_action", "canceled"]])
        )
        events.append({"event_type": "charge.refunded", "amount_refunded": sum_so_far, "amount_received": TOTAL})
        events += [
            {
                "event_type": "refund.updated",
                "refund": RefundFact(refund_id=f"re_{number}", status=status, amount=amount),
            }
            for status in path
        ]
    return events


@st.composite
def disputes(draw: st.DrawFn) -> list[dict]:
    paths = [
        [],
        ["needs_response", "under_review", "won"],
        ["warning_needs_response", "warning_closed"],
        ["warning_needs_response", "needs_response", "lost"],
    ]
    return [
        {"event_type": "charge.dispute.updated", "dispute": DisputeFact(dispute_id="du_1", status=status)}
        for status in draw(st.sampled_from(paths))
    ]


@st.composite
def lives(draw: st.DrawFn) -> list[PaymentEvent]:
    """All events of one payment's life, many of them in the same second."""
    told = [*draw(attempts()), *draw(ends), *draw(checkouts()), *draw(refunds()), *draw(disputes())]
    return [
        PaymentEvent(
            **{
                "event_id": f"evt_{number:02}",
                "created": NOON + timedelta(seconds=draw(seconds)),
                "livemode": False,
                "object_id": "obj_1",
                "intent_id": "pi_1",
                "currency": "eur",
                "amount": TOTAL,
                **facts,
            }
        )
        for number, facts in enumerate(told)
    ]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[PaymentEvent], list[PaymentEvent]]:
    """A life, and what the network made of it: any order, some events twice or more."""
    life = draw(lives())
    repeated = draw(st.lists(st.sampled_from(life), max_size=5)) if life else []
    return life, draw(st.permutations(life + repeated))


columns = TABLE.columns
rows = st.sampled_from(
    [
        {},
        {columns.intent_id: "pi_1", columns.status: OptionSetValue(TABLE.statuses[PaymentStatus.PENDING])},
        {columns.checkout_session_id: "cs_1"},
        {columns.intent_id: "pi_1", columns.status: OptionSetValue(TABLE.statuses[PaymentStatus.COMPLETED])},
        {
            columns.status: OptionSetValue(TABLE.statuses[PaymentStatus.PARTIALLY_REFUNDED]),
            columns.amount_received: Money(Decimal("129.0000")),
            columns.amount_refunded: Money(Decimal("29.0000")),
        },
    ]
)


def blank_row(start: dict) -> Entity:
    return Entity("new_payment", "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11", {**dict.fromkeys(columns.names()), **start})


def row_after(start: dict, events: Sequence[PaymentEvent]) -> Entity:
    row = blank_row(start)
    for event in events:
        row.update(changes(row, event, TABLE) or {})
    return row


@given(deliveries(), rows)
def test_every_permutation_with_duplicates_ends_in_the_same_row(delivery, start):
    life, delivered = delivery
    assert row_after(start, delivered).attributes == row_after(start, life).attributes


@given(deliveries(), rows)
def test_an_event_the_row_has_seen_changes_nothing(delivery, start):
    life, _ = delivery
    row = row_after(start, life)
    assert [changes(row, event, TABLE) for event in life] == [None] * len(life)


@given(deliveries(), rows)
def test_a_completed_payment_never_fails_and_is_never_unpaid(delivery, start):
    _, delivered = delivery
    row, seen_paid = blank_row(start), False
    never_again = {TABLE.statuses[status] for status in (PaymentStatus.FAILED, PaymentStatus.CANCELED)}
    for event in delivered:
        row.update(changes(row, event, TABLE) or {})
        if event.event_type == "payment_intent.succeeded" and standing(row, event, TABLE) is Standing.OWN:
            seen_paid = True
        if seen_paid:
            assert row[columns.status].value not in never_again
            assert row[columns.paid_on] is not None


@given(lives(), lives(), lives())
def test_joining_ledgers_is_commutative_associative_and_idempotent(some, more, rest):
    a, b, c = (said_all(events) for events in (some, more, rest))
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, a) == a


@given(lives())
def test_a_ledger_survives_its_column(life):
    ledger = said_all(life)
    assert load(dump(ledger)) == ledger
    assert dump(load(dump(ledger))) == dump(ledger)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str), lives())
def test_an_unreadable_ledger_is_as_good_as_none(text, life):
    start = {columns.intent_id: "pi_1"}
    assume(life and load(text) is None)
    assert row_after({**start, columns.ledger: text}, life) == row_after(start, life)


def said_all(events: Sequence[PaymentEvent]) -> Ledger:
    ledger = Ledger()
    for event in events:
        ledger = join(ledger, ledger_of_event(event))
    return ledger
