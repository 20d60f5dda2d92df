"""Payment intents go from status to status as Stripe's diagram says."""

from __future__ import annotations

import pytest
import stripe


def test_a_new_intent_waits_for_a_payment_method(intents, event_types):
    intent = intents.create({"amount": 1999, "currency": "usd", "metadata": {"CRM_PaymentId": "a"}})

    assert (intent.status, intent.amount, intent.metadata["CRM_PaymentId"]) == ("requires_payment_method", 1999, "a")
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert event_types() == ["payment_intent.created"]


def test_a_good_card_pays_at_once(intents, charge_with, event_types):
    intent = charge_with("pm_card_visa")

    assert (intent.status, intent.amount_received) == ("succeeded", 1999)
    assert intents.retrieve(intent.id).status == "succeeded"
    assert event_types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]


def test_a_declined_card_answers_402_and_leaves_the_intent(intents, charge_with, event_types):
    with pytest.raises(stripe.CardError) as declined:
        charge_with("pm_card_visa_chargeDeclinedInsufficientFunds")

    error = declined.value.error
    assert (declined.value.code, error.decline_code) == ("card_declined", "insufficient_funds")
    intent = intents.retrieve(error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error.decline_code == "insufficient_funds"
    assert event_types() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


def test_a_declined_intent_can_still_succeed(simulator, intents):
    intent = intents.create({"amount": 1999, "currency": "usd"})
    simulator.pay(intent.id, "pm_card_chargeDeclined")

    assert simulator.pay(intent.id)["status"] == "succeeded"


@pytest.mark.parametrize(("succeed", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_three_d_secure_waits_for_the_customer(simulator, charge_with, succeed, status):
    intent = charge_with("pm_card_authenticationRequired", return_url="https://example.com/back")

    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    assert simulator.authenticate(intent.id, succeed=succeed)["status"] == status


def test_failed_authentication_leaves_no_charge(simulator, charge_with):
    intent = simulator.authenticate(charge_with("pm_card_authenticationRequired").id, succeed=False)

    assert intent["latest_charge"] is None
    assert intent["last_payment_error"]["code"] == "payment_intent_authentication_failure"


def test_off_session_authentication_is_a_decline(charge_with):
    with pytest.raises(stripe.CardError) as declined:
        charge_with("pm_card_authenticationRequired", off_session=True)

    assert declined.value.code == "authentication_required"


@pytest.mark.parametrize(("succeed", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_a_bank_debit_is_settled_later(simulator, charge_with, event_types, succeed, status):
    intent = charge_with("pm_usBankAccount_success")
    assert intent.status == "processing"

    assert simulator.settle(intent.id, succeed=succeed)["status"] == status
    assert event_types()[2] == "payment_intent.processing"


def test_a_held_amount_is_captured_in_part(intents, charge_with, event_types):
    held = charge_with(capture_method="manual")
    assert (held.status, held.amount_capturable) == ("requires_capture", 1999)

    captured = intents.capture(held.id, {"amount_to_capture": 1500, "expand": ["latest_charge"]})
    assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 1500, 0)
    assert (captured.latest_charge.amount_captured, captured.latest_charge.amount_refunded) == (1500, 499)
    assert "payment_intent.amount_capturable_updated" in event_types()
    assert "charge.captured" in event_types()


def test_canceling_a_held_amount_releases_it(intents, charge_with, event_types):
    held = charge_with(capture_method="manual")

    canceled = intents.cancel(held.id, {"cancellation_reason": "abandoned", "expand": ["latest_charge"]})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert canceled.latest_charge.refunded
    assert event_types()[-2:] == ["charge.refunded", "payment_intent.canceled"]


def test_a_succeeded_intent_is_neither_canceled_nor_confirmed(intents, charge_with):
    intent = charge_with()

    for attempt in (intents.cancel, intents.confirm):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            attempt(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"


def test_an_update_merges_metadata_and_clears_the_last_error(simulator, intents):
    intent = intents.create({"amount": 1999, "currency": "usd", "metadata": {"a": "1", "b": "2"}})
    simulator.pay(intent.id, "pm_card_chargeDeclined")

    updated = intents.update(intent.id, {"amount": 2500, "metadata": {"b": "", "c": "3"}})
    assert (updated.amount, updated.last_payment_error) == (2500, None)
    assert updated.metadata.to_dict() == {"a": "1", "c": "3"}


def test_after_success_only_metadata_and_description_can_be_written(intents, charge_with):
    intent = charge_with()

    assert intents.update(intent.id, {"metadata": {"late": "yes"}}).metadata["late"] == "yes"
    with pytest.raises(stripe.InvalidRequestError, match="You may only update the amount"):
        intents.update(intent.id, {"amount": 100})
