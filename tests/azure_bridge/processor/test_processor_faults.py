"""What cannot be read, a CRM that is away or refuses, a worker that dies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from azure_bridge.payment_status import changes
from azure_bridge.processor import DrainSummary
from azure_bridge.queues.contract import QueueMessage
from azure_bridge.settlement import (
    INVALID_MESSAGE,
    REJECTED_BY_CRM,
    settle,
)
from azure_bridge.tables import PaymentStatus
from dataverse_client.errors import (
    AccessDeniedError,
    AuthenticationError,
    DataverseUnavailableError,
    PluginRefusedError,
    ThrottledError,
    UnexpectedResponseError,
)
from dataverse_client.types import new_guid


@pytest.mark.parametrize("body", [b"", b"{}", b'{"version": 99}'])
def test_a_body_nobody_can_read_is_a_dead_letter_and_delays_no_other(
    processor, queue, a_payment, enqueue, body, dead_letters
):
    queue.send([QueueMessage(body, message_id="garbage")])
    enqueue(row_id=a_payment())
    assert processor.drain(queue) == DrainSummary(completed=1, dead_lettered=1)
    assert dead_letters() == [INVALID_MESSAGE]


def test_a_currency_nobody_knows_is_a_dead_letter_and_delays_no_other(processor, queue, a_payment, enqueue):
    row_id = a_payment()
    enqueue("payment_intent.processing", row_id=row_id)
    enqueue(currency="zzz", row_id=row_id)
    assert processor.drain(queue) == DrainSummary(completed=1, dead_lettered=1)


def test_a_message_that_breaks_the_processor_takes_no_other_along(
    processor, queue, crm, a_payment, enqueue, status_of, monkeypatch
):
    """Given an event that nobody foresaw among others, which would become dead letters with it."""
    first, last = a_payment(), a_payment()
    enqueue(row_id=first, intent_id="pi_1")
    enqueue("payment_intent.unforeseen", row_id=a_payment(), intent_id="pi_2")
    enqueue(row_id=last, intent_id="pi_3")
    monkeypatch.setattr("azure_bridge.row_writes.changes", breaking_on("payment_intent.unforeseen"))
    with pytest.raises(ZeroDivisionError):
        processor.drain(queue)
    assert [status_of(row_id) for row_id in (first, last)] == [PaymentStatus.COMPLETED] * 2
    assert (queue.counts().active, queue.counts().locked) == (0, 1)


def breaking_on(event_type):
    def broken(row, event, table):
        return 1 / 0 if event.event_type == event_type else changes(row, event, table)

    return broken


@pytest.mark.parametrize("error", [DataverseUnavailableError("away"), AuthenticationError("expired secret")])
@pytest.mark.parametrize("fault", ["query_error", "write_error"])
def test_a_crm_that_is_away_never_makes_dead_letters(
    processor, queue, crm, clock, a_payment, enqueue, status_of, error, fault
):
    row_id = a_payment()
    enqueue(row_id=row_id)
    setattr(crm, fault, error)
    for _ in range(5):
        assert processor.drain(queue) == DrainSummary(retry_later=1)
        clock.advance(timedelta(minutes=10))
    setattr(crm, fault, None)
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert status_of(row_id) is PaymentStatus.COMPLETED


def test_a_throttled_client_waits_as_long_as_it_was_told(processor, queue, crm, clock, a_payment, enqueue):
    enqueue(row_id=a_payment())
    crm.query_error = ThrottledError("too many requests", retry_after=120)
    processor.drain(queue)
    crm.query_error = None

    clock.advance(timedelta(seconds=120))
    assert processor.drain(queue) == DrainSummary()
    clock.advance(timedelta(seconds=2))
    assert processor.drain(queue) == DrainSummary(completed=1)


def test_what_crm_will_never_take_is_a_dead_letter(processor, queue, crm, a_payment, enqueue):
    enqueue(row_id=a_payment())
    crm.write_error = AccessDeniedError("missing privilege prvWritenew_payment")
    processor.drain(queue)
    (letter,) = queue.peek(dead_letters=True)
    assert letter.dead_letter_reason == REJECTED_BY_CRM
    assert "prvWritenew_payment" in letter.dead_letter_description


def test_an_answer_nobody_understands_is_tried_again_a_while(
    processor, queue, crm, clock, a_payment, enqueue, dead_letters
):
    enqueue(row_id=a_payment())
    crm.write_error = UnexpectedResponseError("<html>")
    for _ in range(3):
        processor.drain(queue)
        clock.advance(timedelta(minutes=10))
    assert dead_letters() == [REJECTED_BY_CRM]


def test_a_crash_between_the_write_and_the_settling_is_harmless(processor, queue, clock, a_payment, enqueue, diary):
    enqueue(row_id=a_payment())
    processor.process(queue.receive(10))  # and here the worker dies, having settled nothing
    clock.advance(timedelta(minutes=2))
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert [what for what, _, _ in diary.lines] == ["applied", "ignored"]


def test_settling_what_another_worker_has_settled_is_no_error(processor, queue, clock, a_payment, enqueue):
    enqueue(row_id=a_payment())
    enqueue(intent_id="pi_2", row_id=new_guid())
    slow = processor.process(queue.receive(10))
    clock.advance(timedelta(minutes=2))
    assert processor.drain(queue) == DrainSummary(completed=1, retry_later=1)

    settle(queue, slow)

    assert (queue.counts().active, queue.counts().scheduled) == (0, 1)


def test_a_worker_goes_on_until_it_is_told_to_stop(processor, queue, a_payment, enqueue):
    enqueue(row_id=a_payment())
    rounds = iter([False, False, True])
    summary = processor.drain(queue, until=lambda: next(rounds), max_wait=timedelta(0))
    assert summary == DrainSummary(completed=1)


@pytest.mark.parametrize(("status", "drains"), [(2, 3), (0, 1), (None, 1)], ids=["Retry", "Failed", "not said"])
def test_a_plug_in_that_asks_for_a_retry_is_tried_again_a_while(
    processor, queue, crm, clock, a_payment, enqueue, dead_letters, status, drains
):
    enqueue(row_id=a_payment())
    crm.write_error = PluginRefusedError("Save again in a minute.", operation_status=status)
    for _ in range(drains):
        assert dead_letters() == []
        processor.drain(queue)
        clock.advance(timedelta(minutes=10))
    assert dead_letters() == [REJECTED_BY_CRM]
