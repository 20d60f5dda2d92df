"""Rows that change, come late or never come while their events are applied."""

from __future__ import annotations

from datetime import timedelta

import pytest

from azure_bridge.processor import DrainSummary
from azure_bridge.settlement import (
    ROW_NOT_FOUND,
)
from azure_bridge.tables import PaymentStatus
from dataverse_client.types import Entity, new_guid


def test_a_row_that_changed_meanwhile_is_read_again(processor, queue, crm, a_payment, enqueue, status_of):
    row_id = a_payment()
    enqueue(row_id=row_id)
    edits = iter(["a clerk was here"])
    crm.before_write = lambda: [crm.client.update(Entity("new_payment", row_id, {"new_name": name})) for name in edits]

    assert processor.drain(queue) == DrainSummary(completed=1)

    assert status_of(row_id) is PaymentStatus.COMPLETED
    assert crm.client.retrieve("new_payment", row_id)["new_name"] == "a clerk was here"


def test_a_row_that_never_stands_still_is_retried_later(processor, queue, crm, a_payment, enqueue):
    row_id = a_payment()
    enqueue(row_id=row_id)
    crm.before_write = lambda: crm.client.update(Entity("new_payment", row_id, {"new_name": new_guid()}))
    assert processor.drain(queue) == DrainSummary(retry_later=1)


def test_a_row_that_is_not_there_yet_is_waited_for(processor, queue, crm, clock, enqueue, status_of):
    row_id = new_guid()
    enqueue(row_id=row_id)
    assert processor.drain(queue) == DrainSummary(retry_later=1)

    crm.client.create(Entity("new_payment", row_id, {"new_name": "committed at last"}))
    assert processor.drain(queue) == DrainSummary()
    clock.advance(timedelta(seconds=2))

    assert processor.drain(queue) == DrainSummary(completed=1)
    assert status_of(row_id) is PaymentStatus.COMPLETED


def test_a_row_that_never_comes_makes_a_dead_letter_in_the_end(processor, queue, clock, enqueue, dead_letters):
    enqueue(row_id=new_guid())
    for _ in range(3):
        processor.drain(queue)
        clock.advance(timedelta(minutes=10))
    assert dead_letters() == [ROW_NOT_FOUND]


@pytest.mark.parametrize(
    "ending", ["payment_intent.canceled", "checkout.session.expired", "payment_intent.payment_failed"]
)
def test_what_ended_unpaid_with_its_row_is_nobodys_work(processor, queue, clock, enqueue, ending, dead_letters):
    """A deleted or rolled-back row takes its intent along; the news of that needs no row and no person."""
    enqueue(ending, row_id=new_guid(), amount_received=None)
    for _ in range(3):
        processor.drain(queue)
        clock.advance(timedelta(minutes=10))
    assert dead_letters() == []
    assert queue.counts().active == queue.counts().scheduled == 0
