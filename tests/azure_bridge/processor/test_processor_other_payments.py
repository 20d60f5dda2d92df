"""Events of other organizations, and of intents that are not the row's."""

from __future__ import annotations

from azure_bridge.processor import DrainSummary
from azure_bridge.settlement import (
    ANOTHER_INTENT_PAID,
)
from azure_bridge.tables import PaymentStatus


def test_another_organizations_event_is_ignored(processor, queue, a_payment, tell, status_of, diary):
    row_id = a_payment()
    tell(organization_id="sandbox", row_id=row_id)
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert status_of(row_id) is not PaymentStatus.COMPLETED
    assert diary.lines == [("ignored", "evt_1", "it belongs to organization sandbox")]


def test_money_on_an_intent_the_row_has_left_is_shown_to_a_person(processor, queue, a_payment, tell, status_of):
    row_id = a_payment(new_stripepaymentintentid="pi_new")
    tell(intent_id="pi_old", row_id=row_id)
    processor.drain(queue)
    assert status_of(row_id) is not PaymentStatus.COMPLETED
    (letter,) = queue.peek(dead_letters=True)
    assert letter.dead_letter_reason == ANOTHER_INTENT_PAID
    assert "pi_old" in letter.dead_letter_description
    assert "pi_new" in letter.dead_letter_description


def test_news_of_an_intent_the_row_has_left_is_ignored(processor, queue, a_payment, tell, diary):
    row_id = a_payment(new_stripepaymentintentid="pi_new")
    tell("payment_intent.canceled", intent_id="pi_old", row_id=row_id)
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert diary.lines[0][0] == "ignored"
