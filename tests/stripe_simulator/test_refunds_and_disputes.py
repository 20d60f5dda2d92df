"""Money goes back through refunds and disputes, and the charge adds them up."""

from __future__ import annotations

import pytest
import stripe


@pytest.fixture
def refunds(client):
    return client.v1.refunds


@pytest.fixture
def charge_of(client):
    return lambda intent: client.v1.charges.retrieve(intent.latest_charge)


def last(simulator, event_type):
    return [event for event in simulator.events if event["type"] == event_type][-1]


def test_refunds_add_up_until_the_charge_is_refunded(simulator, charge_with, refunds, charge_of):
    intent = charge_with()

    refunds.create({"payment_intent": intent.id, "amount": 999, "reason": "requested_by_customer"})
    assert (charge_of(intent).amount_refunded, charge_of(intent).refunded) == (999, False)
    refunds.create({"payment_intent": intent.id})

    assert (charge_of(intent).amount_refunded, charge_of(intent).refunded) == (1999, True)
    previous = last(simulator, "charge.refunded")["data"]["previous_attributes"]
    assert previous == {"amount_refunded": 999, "refunded": False}


def test_a_refund_names_intent_and_charge_and_not_the_intents_metadata(charge_with, refunds, event_types):
    intent = charge_with(metadata={"CRM_PaymentId": "a"})

    refund = refunds.create({"charge": intent.latest_charge})
    assert (refund.payment_intent, refund.charge, refund.status) == (intent.id, intent.latest_charge, "succeeded")
    assert refund.metadata.to_dict() == {}
    assert event_types()[-2:] == ["refund.created", "charge.refunded"]


@pytest.mark.parametrize(
    ("params", "code"),
    [({}, "charge_already_refunded"), ({"amount": 1}, "charge_already_refunded")],
)
def test_what_is_refunded_cannot_be_refunded_again(charge_with, refunds, params, code):
    intent = charge_with()
    refunds.create({"payment_intent": intent.id})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        refunds.create({"payment_intent": intent.id, **params})
    assert refused.value.code == code


def test_more_than_was_paid_is_never_refunded(charge_with, refunds):
    intent = charge_with()

    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        refunds.create({"payment_intent": intent.id, "amount": 2000})


def test_an_unpaid_intent_has_nothing_to_refund(intents, refunds):
    intent = intents.create({"amount": 1999, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError, match="successful charge"):
        refunds.create({"payment_intent": intent.id})


def test_a_refund_can_fail_after_it_succeeded(simulator, charge_with, refunds, charge_of, event_types):
    intent = charge_with("pm_card_refundFail")
    refund = refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"

    failed = simulator.settle_refund(refund.id)
    assert (failed["status"], failed["failure_reason"]) == ("failed", "expired_or_canceled_card")
    assert (charge_of(intent).amount_refunded, charge_of(intent).refunded) == (0, False)
    assert event_types()[-3:] == ["refund.updated", "charge.refund.updated", "refund.failed"]


def test_a_pending_refund_succeeds_later(simulator, charge_with, refunds):
    refund = refunds.create({"payment_intent": charge_with("pm_card_pendingRefund").id})
    assert refund.status == "pending"

    assert simulator.settle_refund(refund.id)["status"] == "succeeded"
    assert last(simulator, "refund.updated")["data"]["previous_attributes"] == {"status": "pending"}


def test_a_refunds_metadata_is_its_own(refunds, charge_with):
    refund = refunds.create({"payment_intent": charge_with().id, "metadata": {"a": "1"}})

    assert refunds.update(refund.id, {"metadata": {"b": "2"}}).metadata.to_dict() == {"a": "1", "b": "2"}
    with pytest.raises(stripe.InvalidRequestError, match="can be canceled"):
        refunds.cancel(refund.id)


def test_a_test_method_disputes_its_own_payment(client, charge_with, event_types):
    intent = charge_with("pm_card_createDispute", expand=["latest_charge"])

    dispute = client.v1.disputes.list({"payment_intent": intent.id}).data[0]
    assert (dispute.reason, dispute.status, dispute.amount) == ("fraudulent", "needs_response", 1999)
    assert intent.latest_charge.disputed
    assert event_types()[-2:] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


def test_a_disputed_charge_cannot_be_refunded(charge_with, refunds):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refunds.create({"payment_intent": charge_with("pm_card_createDispute").id})
    assert refused.value.code == "charge_disputed"


@pytest.mark.parametrize(
    ("status", "ending"),
    [("won", ["charge.dispute.closed", "charge.dispute.funds_reinstated"]), ("lost", ["charge.dispute.closed"])],
)
def test_the_bank_decides_after_the_evidence(simulator, client, charge_with, event_types, status, ending):
    dispute = simulator.open_dispute(charge_with().id, reason="duplicate")
    client.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": "Two orders."}, "submit": True})
    assert client.v1.disputes.retrieve(dispute["id"]).status == "under_review"

    simulator.close_dispute(dispute["id"], status)

    assert event_types()[-len(ending) :] == ending
    assert last(simulator, "charge.dispute.closed")["data"]["previous_attributes"] == {"status": "under_review"}


def test_an_inquiry_takes_no_money(simulator, client, charge_with, event_types):
    dispute = simulator.open_dispute(charge_with().latest_charge, inquiry=True)

    assert dispute["status"] == "warning_needs_response"
    assert event_types()[-1] == "charge.dispute.created"
    assert simulator.close_dispute(dispute["payment_intent"], "warning_closed")["status"] == "warning_closed"


def test_a_merchant_can_give_in(client, charge_with):
    intent = charge_with("pm_card_createDispute")
    dispute = client.v1.disputes.list({"payment_intent": intent.id}).data[0]

    assert client.v1.disputes.close(dispute.id).status == "lost"
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        client.v1.disputes.close(dispute.id)


def test_the_balance_is_what_is_left(client, charge_with, refunds):
    refunds.create({"payment_intent": charge_with().id, "amount": 999})

    fee = 58 + 30
    assert client.v1.balance.retrieve().available[0].amount == 1999 - fee - 999
