"""The stories a payment's events tell, and what the row says at their end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from azure_bridge.minor_units import UnsupportedCurrencyError
from azure_bridge.payment_event import DisputeFact, PaymentEvent, RefundFact
from azure_bridge.payment_status import Standing, changes, standing
from azure_bridge.tables import PaymentColumns, PaymentStatus, PaymentTable
from dataverse_client.types import Entity, Money, OptionSetValue

TABLE = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")
COLUMNS = TABLE.columns
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
S = PaymentStatus


def told(event_type: str, second: int = 0, **facts) -> PaymentEvent:
    known = {
        "event_id": f"evt_{event_type}_{second}_{facts.get('intent_id', '')}",
        "event_type": event_type,
        "created": NOON + timedelta(seconds=second),
        "livemode": False,
        "object_id": "obj_1",
        "intent_id": "pi_1",
        "currency": "eur",
        "amount": 10_000,
    }
    return PaymentEvent(**{**known, **facts})


def requires_action(second: int = 0) -> PaymentEvent:
    return told("payment_intent.requires_action", second)


def processing(second: int = 0) -> PaymentEvent:
    return told("payment_intent.processing", second)


def failed(second: int = 0, code: str | None = "card_declined", message: str | None = "Declined.") -> PaymentEvent:
    return told("payment_intent.payment_failed", second, failure_code=code, failure_message=message)


def authorized(second: int = 0, **facts) -> PaymentEvent:
    return told("payment_intent.amount_capturable_updated", second, **facts)


def succeeded(second: int = 0, amount: int = 10_000, **facts) -> PaymentEvent:
    return told("payment_intent.succeeded", second, amount_received=amount, **facts)


def canceled(second: int = 0, **facts) -> PaymentEvent:
    return told("payment_intent.canceled", second, **facts)


def checkout(name: str, payment_status: str, second: int = 0, **facts) -> PaymentEvent:
    known = {"checkout_session_id": "cs_1", "payment_status": payment_status}
    return told(f"checkout.session.{name}", second, **{**known, **facts})


def charge_refunded(total: int, second: int = 0, captured: int = 10_000) -> PaymentEvent:
    return told("charge.refunded", second, amount_refunded=total, amount_received=captured)


def refund(status: str, amount: int = 10_000, refund_id: str = "re_1", second: int = 0) -> PaymentEvent:
    return told("refund.updated", second, refund=RefundFact(refund_id=refund_id, status=status, amount=amount))


def dispute(status: str, dispute_id: str = "du_1", second: int = 0) -> PaymentEvent:
    return told("charge.dispute.updated", second, dispute=DisputeFact(dispute_id=dispute_id, status=status))


def row_with(**columns) -> Entity:
    return Entity("new_payment", "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11", {**dict.fromkeys(COLUMNS.names()), **columns})


def shown(status: PaymentStatus) -> OptionSetValue:
    return OptionSetValue(TABLE.statuses[status])


def after(row: Entity, *events: PaymentEvent) -> Entity:
    for event in events:
        row.update(changes(row, event, TABLE) or {})
    return row


STORIES = {
    "created": ([told("payment_intent.created")], S.PENDING),
    "3-D Secure asked": ([told("payment_intent.created"), requires_action(1)], S.REQUIRES_ACTION),
    "3-D Secure refused": ([requires_action(0), failed(1)], S.FAILED),
    "a new attempt after a decline": ([failed(0), requires_action(5)], S.REQUIRES_ACTION),
    "declined in the second it was asked": ([failed(0), requires_action(0), processing(0)], S.FAILED),
    "declined, then paid": ([failed(0), succeeded(60)], S.COMPLETED),
    "paid, and the decline comes late": ([succeeded(60), failed(0)], S.COMPLETED),
    "paid, and a decline of the same second comes late": ([succeeded(0), failed(0)], S.COMPLETED),
    "bank debit under way": ([processing()], S.PROCESSING),
    "bank debit refused after days": ([processing(0), failed(300_000)], S.FAILED),
    "authorized": ([authorized(5), processing(9)], S.AUTHORIZED),
    "authorized and captured": ([authorized(), succeeded(60)], S.COMPLETED),
    "authorized and let go": ([authorized(), canceled(60)], S.CANCELED),
    "let go, and told as a refund": ([authorized(), canceled(60), refund("succeeded", second=60)], S.CANCELED),
    "paid, and a cancellation told for later": ([succeeded(0), canceled(60)], S.COMPLETED),
    "paid, and a cancellation told for earlier": ([succeeded(60), canceled(0)], S.COMPLETED),
    "abandoned": ([failed(0), canceled(60)], S.CANCELED),
    "canceled, told before the decline": ([canceled(60), failed(90)], S.CANCELED),
    "checkout paid": ([checkout("completed", "paid")], S.COMPLETED),
    "checkout for nothing": ([checkout("completed", "no_payment_required", amount=0)], S.COMPLETED),
    "checkout by bank debit": ([checkout("completed", "unpaid")], S.PROCESSING),
    "checkout of an unknown kind is not taken for paid": ([checkout("completed", "later")], S.PROCESSING),
    "checkout by bank debit, paid": (
        [checkout("completed", "unpaid"), checkout("async_payment_succeeded", "paid", 9)],
        S.COMPLETED,
    ),
    "checkout by bank debit, refused": (
        [checkout("completed", "unpaid"), checkout("async_payment_failed", "unpaid", 9)],
        S.FAILED,
    ),
    "checkout left": ([failed(), checkout("expired", "unpaid", 9)], S.CANCELED),
    "refunded in part": ([succeeded(), charge_refunded(2_500)], S.PARTIALLY_REFUNDED),
    "refunded in two parts": ([succeeded(), charge_refunded(2_500), charge_refunded(10_000)], S.REFUNDED),
    "refund told before the payment": ([charge_refunded(10_000), succeeded()], S.REFUNDED),
    "refund under way": ([succeeded(), refund("pending")], S.REFUNDED),
    "refund failed after it succeeded": (
        [succeeded(), charge_refunded(10_000), refund("succeeded"), refund("failed")],
        S.COMPLETED,
    ),
    "refund canceled": ([succeeded(), refund("requires_action"), refund("canceled")], S.COMPLETED),
    "one of two refunds failed": (
        [succeeded(), refund("failed", 2_500, "re_1"), refund("succeeded", 2_500, "re_2")],
        S.PARTIALLY_REFUNDED,
    ),
    "captured in part, the rest released": (
        [succeeded(amount=6_000), charge_refunded(4_000, captured=6_000)],
        S.COMPLETED,
    ),
    "disputed": ([succeeded(), dispute("needs_response")], S.DISPUTED),
    "dispute won": ([succeeded(), dispute("needs_response"), dispute("won")], S.COMPLETED),
    "dispute won, told backwards": ([succeeded(), dispute("won"), dispute("needs_response")], S.COMPLETED),
    "dispute prevented": ([succeeded(), dispute("needs_response"), dispute("prevented")], S.COMPLETED),
    "dispute settled by a refund": ([succeeded(), dispute("needs_response"), dispute("charge_refunded")], S.COMPLETED),
    "dispute lost": ([succeeded(), dispute("lost")], S.DISPUTED),
    "inquiry closed": ([succeeded(), dispute("warning_needs_response"), dispute("warning_closed")], S.COMPLETED),
    "inquiry that became a dispute": ([succeeded(), dispute("warning_closed"), dispute("under_review")], S.DISPUTED),
    "one dispute of two still open": ([succeeded(), dispute("won"), dispute("under_review", "du_2")], S.DISPUTED),
    "a status Stripe added later counts as open": ([succeeded(), dispute("in_arbitration")], S.DISPUTED),
    "refunded and disputed": ([succeeded(), charge_refunded(10_000), dispute("needs_response")], S.DISPUTED),
    "refunded, dispute won": ([succeeded(), charge_refunded(10_000), dispute("won")], S.REFUNDED),
}


@pytest.mark.parametrize(("events", "status"), STORIES.values(), ids=STORIES)
def test_a_history_of_events_ends_in_its_status_in_either_order(events, status):
    assert after(row_with(), *events)[COLUMNS.status] == shown(status)
    assert after(row_with(), *reversed(events))[COLUMNS.status] == shown(status)


def test_a_failure_is_explained_while_it_lasts():
    row = after(row_with(), failed(0, "card_declined", "First."), failed(5, "expired_card", "Second."))
    assert (row[COLUMNS.failure_code], row[COLUMNS.failure_message]) == ("expired_card", "Second.")

    after(row, requires_action(9))

    assert (row[COLUMNS.failure_code], row[COLUMNS.failure_message]) == (None, None)


def test_a_failed_session_does_not_hide_why_its_intent_failed():
    row = after(row_with(), failed(5), checkout("async_payment_failed", "unpaid", 6))
    assert row[COLUMNS.failure_code] == "card_declined"


def test_money_is_written_in_the_currencys_own_unit():
    assert after(row_with(), succeeded(amount=500, currency="jpy"))[COLUMNS.amount_received] == Money(Decimal(500))
    assert after(row_with(), succeeded(amount=5_120, currency="kwd"))[COLUMNS.amount_received] == Money(Decimal("5.12"))


def test_a_sessions_total_gives_way_to_what_its_intent_received():
    row = after(row_with(), checkout("completed", "paid", amount=11_900, currency="usd"), succeeded(amount=10_000))
    assert row[COLUMNS.amount_received] == Money(Decimal(100))


def test_the_first_payment_dates_the_row_and_the_last_event_signs_it():
    row = after(row_with(), succeeded(60), checkout("completed", "paid", 62), failed(0))
    assert row[COLUMNS.paid_on] == NOON + timedelta(seconds=60)
    assert (
        row[COLUMNS.last_event] == "2026-11-22T12:01:02Z checkout.session.completed evt_checkout.session.completed_62_"
    )


@pytest.mark.parametrize("events", [*permutations((failed(0), succeeded(0), charge_refunded(2_500)))])
def test_of_events_in_one_second_the_one_that_comes_last_in_a_payments_life_signs_the_row(events):
    assert "charge.refunded" in after(row_with(), *events)[COLUMNS.last_event]
    assert "payment_intent.succeeded" in after(row_with(), failed(0), succeeded(0))[COLUMNS.last_event]


def test_refunds_that_failed_leave_nothing_refunded():
    row = after(row_with(), succeeded(), refund("succeeded", 2_500), refund("failed", 2_500))
    assert row[COLUMNS.amount_refunded] == Money(Decimal(0))


def test_columns_without_a_known_value_are_not_written():
    written = changes(row_with(), processing(), TABLE)
    assert written.keys() == {COLUMNS.status, COLUMNS.intent_id, COLUMNS.last_event, COLUMNS.ledger}


def test_columns_that_are_not_mapped_are_not_written():
    columns = PaymentColumns(paid_on=None, last_event=None, amount_received=None, checkout_session_id=None)
    table = PaymentTable(logical_name="x", primary_id="xid", metadata_key="X", columns=columns, statuses={})
    written = changes(row_with(), checkout("completed", "paid"), table)
    assert written.keys() == {columns.intent_id, columns.ledger}


def test_an_unknown_currency_is_told():
    with pytest.raises(UnsupportedCurrencyError):
        changes(row_with(), succeeded(currency="zzz"), TABLE)


def test_an_older_row_is_respected_as_far_as_it_came():
    row = row_with(
        **{
            COLUMNS.status: shown(S.COMPLETED),
            COLUMNS.intent_id: "pi_1",
            COLUMNS.amount_received: Money(Decimal("100.00")),
            COLUMNS.paid_on: NOON - timedelta(days=400),
        }
    )
    after(row, failed(5), charge_refunded(2_500))
    assert row[COLUMNS.status] == shown(S.PARTIALLY_REFUNDED)
    assert row[COLUMNS.paid_on] == NOON - timedelta(days=400)


def test_an_older_failure_is_still_explained_until_there_is_news():
    row = row_with(**{COLUMNS.status: shown(S.FAILED), COLUMNS.failure_code: "expired_card"})
    after(row, told("charge.dispute.updated", dispute=DisputeFact(dispute_id="du_1", status="won")))
    assert (row[COLUMNS.status], row[COLUMNS.failure_code]) == (shown(S.FAILED), "expired_card")


@pytest.mark.parametrize("event", [canceled(intent_id="pi_old"), failed(0), processing(0)], ids=lambda e: e.event_type)
def test_news_of_an_intent_the_row_has_left_changes_nothing(event):
    row = row_with(**{COLUMNS.intent_id: "pi_new"})
    assert standing(row, event, TABLE) is Standing.SUPERSEDED
    assert changes(row, event, TABLE) is None


@pytest.mark.parametrize(
    "event",
    [succeeded(), charge_refunded(100), refund("succeeded"), dispute("lost"), checkout("completed", "paid")],
    ids=lambda event: event.event_type,
)
def test_money_that_moved_on_an_intent_the_row_has_left_is_for_a_person(event):
    row = row_with(**{COLUMNS.intent_id: "pi_new"})
    assert standing(row, event, TABLE) is Standing.MONEY_ELSEWHERE
    assert changes(row, event, TABLE) is None


def test_a_second_intent_paid_for_one_row_is_for_a_person():
    row = after(row_with(), succeeded(intent_id="pi_1"))
    assert standing(row, succeeded(intent_id="pi_2"), TABLE) is Standing.MONEY_ELSEWHERE


def test_a_row_that_turns_to_a_new_intent_starts_a_new_page():
    row = after(row_with(**{COLUMNS.intent_id: "pi_1"}), failed(0), canceled(5))
    row[COLUMNS.intent_id] = "pi_2"  # the plug-in made another

    after(row, told("payment_intent.processing", 3, intent_id="pi_2"))

    assert row[COLUMNS.status] == shown(S.PROCESSING)
    assert standing(row, canceled(5), TABLE) is Standing.SUPERSEDED


def test_a_checkout_row_takes_the_intent_its_session_names_over_an_earlier_ones():
    row = row_with(**{COLUMNS.checkout_session_id: "cs_2"})
    after(row, told("payment_intent.payment_failed", 0, intent_id="pi_of_cs_1"))
    after(row, checkout("completed", "paid", 5, checkout_session_id="cs_2", intent_id="pi_of_cs_2"))
    assert row[COLUMNS.intent_id] == "pi_of_cs_2"
    assert row[COLUMNS.status] == shown(S.COMPLETED)


def test_a_replaced_session_and_its_intent_cannot_cancel_the_row():
    row = row_with(**{COLUMNS.checkout_session_id: "cs_2"})
    late = [canceled(intent_id="pi_of_cs_1"), checkout("expired", "unpaid", checkout_session_id="cs_1", intent_id=None)]
    assert [standing(row, event, TABLE) for event in late] == [Standing.SUPERSEDED, Standing.SUPERSEDED]
    assert after(row, checkout("expired", "unpaid", checkout_session_id="cs_2", intent_id=None))[
        COLUMNS.status
    ] == shown(S.CANCELED)


def test_an_event_of_the_rows_intent_is_its_own_whatever_session_it_names():
    row = row_with(**{COLUMNS.intent_id: "pi_1", COLUMNS.checkout_session_id: "cs_1"})
    assert standing(row, checkout("completed", "paid", checkout_session_id="cs_2"), TABLE) is Standing.OWN
    assert standing(row, checkout("completed", "paid", intent_id="pi_2"), TABLE) is Standing.OWN


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_an_authorization_that_is_let_go_cancels_the_row_whose_session_brought_it(order):
    unpaid = checkout("completed", "unpaid", 1, checkout_session_id="cs_2", intent_id="pi_2")
    events = [unpaid, authorized(2, intent_id="pi_2"), canceled(60, intent_id="pi_2")]
    row = after(row_with(**{COLUMNS.checkout_session_id: "cs_2"}), *(events[number] for number in order))
    assert row[COLUMNS.status] == shown(S.CANCELED)
    assert standing(row, events[2], TABLE) is Standing.OWN


def test_another_sessions_end_does_not_touch_a_row_that_collects_by_intent():
    row = row_with(**{COLUMNS.intent_id: "pi_1"})
    assert standing(row, checkout("expired", "unpaid", intent_id=None), TABLE) is Standing.SUPERSEDED
