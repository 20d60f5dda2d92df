"""Events of other organizations, and of intents that are not the row's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from azure_bridge.processor import DrainSummary, PaymentProcessor
from azure_bridge.settlement import (
    ANOTHER_INTENT_PAID,
)
from azure_bridge.tables import BridgeConfiguration, PaymentStatus
from dataverse_client.errors import DataverseUnavailableError
from dataverse_client.types import new_guid
from runner.emulator.seed import ORGANIZATION_ID as SEEDED_ORGANIZATION_ID


def test_another_organizations_event_is_ignored(processor, queue, a_payment, enqueue, status_of, diary):
    row_id = a_payment()
    enqueue(organization_id="sandbox", row_id=row_id)
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert status_of(row_id) is not PaymentStatus.COMPLETED
    assert diary.lines == [("ignored", "evt_1", "it belongs to organization sandbox")]


@pytest.fixture
def unconfigured(crm, settings, diary, clock):
    """A processor that is told no organization, and so asks CRM which one it is."""
    configuration = BridgeConfiguration(**{**settings, "organization_id": None})
    return PaymentProcessor(crm, configuration, observer=diary, clock=clock)


def test_without_an_organization_in_the_settings_it_is_the_environments_own(
    unconfigured, queue, a_payment, enqueue, status_of, diary
):
    row_id = a_payment()
    enqueue(organization_id=new_guid(), row_id=row_id)
    enqueue(organization_id=SEEDED_ORGANIZATION_ID, row_id=row_id)
    unconfigured.drain(queue)
    assert [what for what, *_ in diary.lines] == ["ignored", "applied"]
    assert status_of(row_id) is PaymentStatus.COMPLETED


def test_crm_is_asked_once_for_its_organization_and_only_when_an_event_names_one(
    unconfigured, queue, crm, a_payment, enqueue
):
    enqueue(row_id=a_payment())
    unconfigured.drain(queue)
    assert crm.requests == 2
    for _ in range(3):
        enqueue(organization_id=SEEDED_ORGANIZATION_ID, row_id=a_payment())
    unconfigured.drain(queue, batch_size=1)
    assert crm.requests == 2 + 1 + 3 * 2


def test_events_wait_while_crm_cannot_say_which_organization_it_is(unconfigured, queue, crm, clock, a_payment, enqueue):
    for _ in range(3):
        enqueue(organization_id=SEEDED_ORGANIZATION_ID, row_id=a_payment())
    crm.query_error = DataverseUnavailableError("away")
    assert unconfigured.drain(queue) == DrainSummary(retry_later=3)
    assert crm.requests == 1  # and not one for each of them, which may take a minute to fail
    crm.query_error = None
    clock.advance(timedelta(minutes=10))
    assert unconfigured.drain(queue) == DrainSummary(completed=3)


def test_money_on_an_intent_the_row_has_left_is_shown_to_a_person(processor, queue, a_payment, enqueue, status_of):
    row_id = a_payment(new_stripepaymentintentid="pi_new")
    enqueue(intent_id="pi_old", row_id=row_id)
    processor.drain(queue)
    assert status_of(row_id) is not PaymentStatus.COMPLETED
    (letter,) = queue.peek(dead_letters=True)
    assert letter.dead_letter_reason == ANOTHER_INTENT_PAID
    assert "pi_old" in letter.dead_letter_description
    assert "pi_new" in letter.dead_letter_description


def test_news_of_an_intent_the_row_has_left_is_ignored(processor, queue, a_payment, enqueue, diary):
    row_id = a_payment(new_stripepaymentintentid="pi_new")
    enqueue("payment_intent.canceled", intent_id="pi_old", row_id=row_id)
    assert processor.drain(queue) == DrainSummary(completed=1)
    assert diary.lines[0][0] == "ignored"


def test_a_dead_letter_names_the_charge_where_the_event_names_no_intent(processor, queue, a_payment, enqueue):
    """Of a charge without an intent, for instance, whose metadata somebody has filled in by hand."""
    row_id = a_payment(new_stripepaymentintentid="pi_own")
    enqueue("charge.refunded", intent_id=None, object_id="ch_1", amount_refunded=500, row_id=row_id)
    processor.drain(queue)
    (letter,) = queue.peek(dead_letters=True)
    assert letter.dead_letter_reason == ANOTHER_INTENT_PAID
    assert "moved money on ch_1" in letter.dead_letter_description
