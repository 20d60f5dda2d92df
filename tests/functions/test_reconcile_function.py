"""The timer: what no event told is put right, and an interrupted run goes on."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from azure_bridge.reconcile import EVENTS, GRACE
from azure_bridge.reconcile.cursor import Cursor, save
from azure_bridge.tables import PaymentStatus
from runner.service.reconciling import CURSOR_FILE

LATER = GRACE + timedelta(minutes=1)


@pytest.fixture
def lost(world):
    """A payment that was paid, and whose events never came; and an app with these settings."""

    def open_world(**facts):
        here = world(**facts)
        row_id = here.create_payment()
        intent = here.service.stripe.client.v1.payment_intents.create(
            {"amount": 1999, "currency": "usd", "metadata": {"CRM_PaymentId": row_id, "CRM_Table": "new_payment"}}
        )
        here.write(row_id, new_stripepaymentintentid=intent.id)
        here.stripe.pay(intent.id)
        here.clock.advance(LATER)
        return here, row_id

    return open_world


def test_a_lost_event_is_made_good(lost, caplog) -> None:
    here, row_id = lost()
    with caplog.at_level(logging.INFO, "runner.functions"):
        here.host.tick()
    assert here.status(row_id) == PaymentStatus.COMPLETED
    assert caplog.messages[-1].startswith("Stripe and CRM compared: ")


def test_a_night_that_was_missed_is_made_good(lost) -> None:
    here, row_id = lost()
    here.host.tick(past_due=True)
    assert here.status(row_id) == PaymentStatus.COMPLETED


def test_without_fix_it_only_reports(lost, caplog) -> None:
    here, row_id = lost(reconcile_fix=False)
    here.host.tick()
    assert here.status(row_id) == PaymentStatus.DRAFT
    assert [line for line in caplog.messages if line.startswith("event-missing") and row_id in line] != []


def test_it_looks_back_as_far_as_it_is_told_to(lost) -> None:
    here, row_id = lost(reconcile_since=timedelta(hours=1))
    here.clock.advance(timedelta(hours=2))
    here.host.tick()
    assert here.status(row_id) == PaymentStatus.DRAFT


def test_an_interrupted_run_goes_on(lost, tmp_path, monkeypatch) -> None:
    here, row_id = lost()

    def cut_off(*_):
        raise ConnectionError("the function timed out")

    with monkeypatch.context() as broken:
        broken.setattr("azure_bridge.reconcile.fix.Fixer.fix", cut_off)
        with pytest.raises(ConnectionError):
            here.host.tick()
    assert (tmp_path / CURSOR_FILE).exists()

    here.clock.advance(timedelta(days=10))
    here.host.tick()

    assert here.status(row_id) == PaymentStatus.COMPLETED
    assert not (tmp_path / CURSOR_FILE).exists()


@pytest.mark.parametrize(
    "changed",
    [{"organization_id": "another"}, {"stage": "rows:new_invoice"}, {"after": "evt_of_another_account"}],
    ids=["another environment", "a table that is gone", "another account"],
)
def test_a_place_to_which_nothing_leads_any_more_is_no_reason_to_stop(lost, tmp_path, changed) -> None:
    here, row_id = lost()
    now, ours = here.clock.now(), here.service.resources.client.who_am_i().organization_id
    place = Cursor(since=now, until=now, organization_id=ours, undelivered=False, stage=EVENTS)
    save(tmp_path / CURSOR_FILE, replace(place, **changed))
    here.host.tick()
    assert here.status(row_id) == PaymentStatus.COMPLETED


def test_a_place_nobody_can_read_is_no_reason_to_stop(lost, tmp_path) -> None:
    here, row_id = lost()
    (tmp_path / CURSOR_FILE).write_text("written by another version")
    here.host.tick()
    assert here.status(row_id) == PaymentStatus.COMPLETED
