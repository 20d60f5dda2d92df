"""Many events cost few requests, and end as they would one by one."""

from __future__ import annotations

import threading
from datetime import timedelta
from random import Random

import pytest

from azure_bridge.payment_event import RefundFact, encode
from azure_bridge.processor import DrainSummary
from azure_bridge.queues.contract import QueueCounts, QueueMessage
from azure_bridge.tables import PaymentStatus


def test_a_hundred_events_cost_two_requests(processor, queue, crm, a_payment, enqueue, status_of):
    row_ids = [a_payment() for _ in range(100)]
    for number, row_id in enumerate(row_ids):
        enqueue(intent_id=f"pi_{number}", row_id=row_id)

    assert processor.drain(queue) == DrainSummary(completed=100)

    assert crm.requests == 2
    assert {status_of(row_id) for row_id in row_ids} == {PaymentStatus.COMPLETED}


def test_the_events_of_one_row_are_one_write(processor, queue, crm, a_payment, enqueue, status_of, diary):
    row_id = a_payment()
    for event_type in ("succeeded", "payment_failed", "processing", "requires_action"):
        enqueue(f"payment_intent.{event_type}", row_id=row_id)
    writes = []
    crm.before_write = lambda: writes.append(1)

    assert processor.drain(queue) == DrainSummary(completed=4)

    assert len(writes) == 1
    assert status_of(row_id) is PaymentStatus.COMPLETED
    assert {what for what, _, _ in diary.lines} == {"applied"}


LIFE = [
    {"event_type": "payment_intent.payment_failed", "failure_code": "card_declined"},
    {"event_type": "payment_intent.requires_action"},
    {"event_type": "payment_intent.succeeded"},
    {"event_type": "charge.refunded", "amount_refunded": 2_900, "amount_received": 12_900},
    {"event_type": "refund.created", "refund": RefundFact(refund_id="re_1", status="succeeded", amount=2_900)},
    {"event_type": "refund.created", "refund": RefundFact(refund_id="re_2", status="pending", amount=1_000)},
]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
@pytest.mark.parametrize("seed", range(3))
def test_one_by_one_or_all_at_once_the_row_ends_the_same(processor, queue, crm, a_payment, enqueue, batch_size, seed):
    row_id = a_payment(new_stripepaymentintentid="pi_1")
    for facts in Random(seed).sample(LIFE, len(LIFE)):  # noqa: S311  # a shuffle, not a secret
        enqueue(**facts)

    processor.drain(queue, batch_size=batch_size)

    row = crm.client.retrieve("new_payment", row_id)
    assert row["new_paymentstatus"].value == 100_000_009
    assert (row["new_amountreceived"].value, row["new_amountrefunded"].value) == (129, 39)
    assert row.get("new_failurecode") is None


def test_an_event_that_comes_again_is_ignored(processor, queue, a_payment, enqueue, diary):
    row_id = a_payment()
    event = enqueue(row_id=row_id)
    processor.drain(queue)
    queue.send([QueueMessage(encode(event), message_id="the same, delivered anew")])
    processor.drain(queue)
    assert diary.lines[1:] == [("ignored", "evt_1", "the row knows already")]


def test_the_locks_of_a_batch_outlast_a_crm_that_is_slow(processor, queue, crm, clock, a_payment, enqueue):
    enqueue(row_id=a_payment())
    renewed = threading.Event()
    renew = queue.renew
    queue.renew = lambda message: (renew(message), renewed.set())[0]

    def slowly() -> None:
        clock.advance(timedelta(seconds=40))
        assert renewed.wait(30)
        clock.advance(timedelta(seconds=40))

    crm.before_write = slowly

    assert processor.drain(queue) == DrainSummary(completed=1)
    assert queue.counts() == QueueCounts(active=0, locked=0, scheduled=0, dead_lettered=0)
