"""An account in a file outlives the process, whatever ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta

import pytest
import stripe

from runner.stripe_simulator import StripeSimulator
from runner.stripe_simulator.account_file import AccountFileError

INTENT = {"amount": 1999, "currency": "usd"}
SESSION = {
    "mode": "payment",
    "success_url": "https://example.com/",
    "line_items": [
        {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Tea"}}}
    ],
    "payment_intent_data": {"metadata": {"CRM_PaymentId": "row-1"}},
}


@pytest.fixture
def opened(tmp_path, clock):
    """Opens the account, as the next process does."""
    opened = []

    def open_again() -> StripeSimulator:
        for simulator in opened:
            simulator.close()
        opened.append(StripeSimulator(clock=clock, file=tmp_path / "stripe.db"))
        return opened[-1]

    yield open_again
    opened[-1].close()


def test_what_was_there_is_there_in_the_same_order(opened) -> None:
    first = opened()
    for _ in range(5):
        first.pay(first.client().v1.payment_intents.create(INTENT).id)
    intents, events = first.payment_intents, first.events
    second = opened()
    assert (list(second.payment_intents.items()), second.events) == (list(intents.items()), events)


def test_what_was_begun_goes_on(opened) -> None:
    """Each end depends on something the API does not show."""
    intents = opened().client().v1.payment_intents
    debit, unpaid = intents.create(INTENT), intents.create(INTENT)
    session = opened().client().v1.checkout.sessions.create(SESSION)
    opened().pay(debit.id, "pm_usBankAccount_insufficientFunds")
    assert opened().settle(debit.id)["status"] == "requires_payment_method"
    assert opened().pay(unpaid.id)["status"] == "succeeded"
    paid = opened().pay(session.id)
    assert opened().payment_intents[paid["payment_intent"]]["metadata"] == {"CRM_PaymentId": "row-1"}
    with pytest.raises(stripe.InvalidRequestError, match="created by Checkout"):
        opened().client().v1.payment_intents.confirm(paid["payment_intent"], {"payment_method": "pm_card_visa"})


def test_what_fell_due_while_the_account_was_closed_is_done_on_opening(opened, clock) -> None:
    session = opened().client().v1.checkout.sessions.create(SESSION)
    clock.advance(timedelta(hours=25))
    assert opened().client().v1.checkout.sessions.retrieve(session.id).status == "expired"


def test_a_method_that_is_spent_stays_spent(opened) -> None:
    simulator = opened()
    intents = simulator.client().v1.payment_intents
    paid = simulator.pay(intents.create(INTENT).id)
    with pytest.raises(stripe.InvalidRequestError, match="previously used"):
        opened().client().v1.payment_intents.create({**INTENT, "payment_method": paid["payment_method"]})


def test_idempotency_keys_are_kept_in_the_file_for_a_day(opened, clock) -> None:
    made = opened().client().v1.payment_intents.create(INTENT, {"idempotency_key": "row-1"})
    again = opened().client().v1.payment_intents.create(INTENT, {"idempotency_key": "row-1"})
    assert again.id == made.id
    with pytest.raises(stripe.IdempotencyError):
        opened().client().v1.payment_intents.create({**INTENT, "amount": 500}, {"idempotency_key": "row-1"})
    clock.advance(timedelta(hours=25))
    assert opened().client().v1.payment_intents.create(INTENT, {"idempotency_key": "row-1"}).id != made.id


def test_what_was_removed_stays_removed(opened) -> None:
    endpoints = opened().client().v1.webhook_endpoints
    endpoint = endpoints.create({"url": "https://example.com/", "enabled_events": ["*"]})
    endpoints.delete(endpoint.id)
    assert opened().webhook_endpoints == []


def test_what_was_delivered_is_not_delivered_again(opened) -> None:
    simulator = opened()
    simulator.client().v1.payment_intents.create(INTENT)
    simulator.acknowledge(simulator.events[0]["id"])
    assert opened().listen(print) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from runner.stripe_simulator import StripeSimulator
intents = StripeSimulator(file=Path(sys.argv[1])).client().v1.payment_intents
intents.create({"amount": 1999, "currency": "usd"}, {"idempotency_key": "row-1"})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_it_answered(tmp_path) -> None:
    file = tmp_path / "stripe.db"
    assert subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False).returncode == -signal.SIGKILL
    simulator = StripeSimulator(file=file)
    again = simulator.client().v1.payment_intents.create(INTENT, {"idempotency_key": "row-1"})
    assert list(simulator.payment_intents) == [again.id]
    simulator.close()


def test_a_second_process_is_refused(opened, tmp_path) -> None:
    opened()
    with pytest.raises(AccountFileError, match="in use by another process"):
        StripeSimulator(file=tmp_path / "stripe.db")


def test_a_file_of_another_kind_is_refused(tmp_path) -> None:
    (tmp_path / "stripe.db").write_text("Dear diary, today I paid nothing at all, and it was good. " * 20)
    with pytest.raises(AccountFileError, match="not a database"):
        StripeSimulator(file=tmp_path / "stripe.db")
