"""Which row an event is about, and what is written on it."""

from __future__ import annotations

from azure_bridge.payment_event import RefundFact
from azure_bridge.processor import DrainSummary
from azure_bridge.tables import PaymentStatus


def test_a_paid_intent_completes_the_row_its_metadata_names(
    processor, queue, crm, a_payment, enqueue, status_of, diary
):
    row_id = a_payment()
    enqueue(row_id=row_id)

    assert processor.drain(queue) == DrainSummary(completed=1)

    row = crm.client.retrieve("new_payment", row_id)
    assert status_of(row_id) is PaymentStatus.COMPLETED
    assert row["new_amountreceived"].value == 129
    assert row["new_stripepaymentintentid"] == "pi_1"
    assert row["new_lastevent"].endswith("payment_intent.succeeded evt_1")
    assert diary.lines == [("applied", "evt_1", "new_payment")]


def test_an_event_completes_a_sales_order_too(processor, queue, a_payment, enqueue, status_of):
    row_id = a_payment("salesorder")
    enqueue(row_id=row_id, row_table="salesorder")
    processor.drain(queue)
    assert status_of(row_id, "salesorder") is PaymentStatus.COMPLETED


def test_a_refund_finds_the_row_by_its_intent(processor, queue, a_payment, enqueue, status_of):
    row_id = a_payment(new_stripepaymentintentid="pi_1")
    enqueue()
    enqueue("refund.created", refund=RefundFact(refund_id="re_1", status="succeeded", amount=2_900))
    processor.drain(queue)
    assert status_of(row_id) is PaymentStatus.PARTIALLY_REFUNDED


def test_an_intent_whose_metadata_was_edited_still_finds_the_row_that_holds_it(
    processor, queue, a_payment, enqueue, status_of, dead_letters
):
    row_id, other_id = (a_payment(new_stripepaymentintentid=intent) for intent in ("pi_1", "pi_2"))
    enqueue(row_id=other_id)
    processor.drain(queue)
    assert (status_of(row_id), status_of(other_id)) == (PaymentStatus.COMPLETED, PaymentStatus.DRAFT)
    assert dead_letters() == []


def test_a_checkout_finds_the_row_by_its_session_and_brings_the_intent(processor, queue, crm, a_payment, enqueue):
    row_id = a_payment(new_stripecheckoutsessionid="cs_1")
    enqueue("checkout.session.completed", checkout_session_id="cs_1", payment_status="paid")
    processor.drain(queue)
    assert crm.client.retrieve("new_payment", row_id)["new_stripepaymentintentid"] == "pi_1"
