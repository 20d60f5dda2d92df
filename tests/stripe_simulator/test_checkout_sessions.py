"""A checkout session makes its intent when the customer confirms, and says how that ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from runner.stripe_simulator import StripeRefusal


@pytest.fixture
def sessions(client):
    return client.v1.checkout.sessions


@pytest.fixture
def open_session(sessions):
    def create(**changes):
        return sessions.create(
            {
                "mode": "payment",
                "success_url": "https://example.com/thanks",
                "line_items": [
                    {
                        "quantity": 2,
                        "price_data": {"currency": "eur", "unit_amount": 1250, "product_data": {"name": "Chair"}},
                    }
                ],
                "metadata": {"of": "session"},
                "payment_intent_data": {"metadata": {"CRM_PaymentId": "a"}, "description": "Order 7"},
                **changes,
            }
        )

    return create


def test_a_new_session_has_a_page_and_no_intent(sessions, open_session, event_types):
    session = open_session(client_reference_id="SO-7")

    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.currency, session.client_reference_id) == (2500, "eur", "SO-7")
    assert session.url.startswith("https://checkout.stripe.com/")
    assert [item.description for item in sessions.line_items.list(session.id)] == ["Chair"]
    assert event_types() == []


def test_paying_completes_the_session_and_its_intent(simulator, sessions, intents, open_session, event_types):
    session = open_session()
    simulator.pay(session.id)

    paid = sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge", "line_items"]})
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert paid.payment_intent.latest_charge.amount_captured == 2500
    assert paid.line_items.data[0].amount_total == 2500
    assert {"payment_intent.succeeded", "checkout.session.completed"} <= set(event_types())


def test_only_the_intents_own_metadata_reaches_the_intent(simulator, open_session):
    session = simulator.complete_checkout(open_session().id)

    intent = simulator.payment_intents[session["payment_intent"]]
    assert intent["metadata"] == {"CRM_PaymentId": "a"}
    assert intent["description"] == "Order 7"
    assert session["metadata"] == {"of": "session"}


def test_a_decline_leaves_the_page_open(simulator, open_session, event_types):
    session = simulator.pay(open_session().id, "pm_card_chargeDeclined")

    assert (session["status"], session["payment_status"]) == ("open", "unpaid")
    assert event_types() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    assert simulator.pay(session["id"])["status"] == "complete"


@pytest.mark.parametrize(
    ("succeed", "payment_status", "event"),
    [
        (True, "paid", "checkout.session.async_payment_succeeded"),
        (False, "unpaid", "checkout.session.async_payment_failed"),
    ],
)
def test_a_bank_debit_completes_unpaid_and_settles_later(
    simulator, sessions, open_session, event_types, succeed, payment_status, event
):
    session = simulator.pay(open_session().id, "pm_usBankAccount_success")
    assert (session["status"], session["payment_status"]) == ("complete", "unpaid")

    simulator.settle(session["payment_intent"], succeed=succeed)
    assert sessions.retrieve(session["id"]).payment_status == payment_status
    assert event_types()[-1] == event


def test_three_d_secure_completes_the_session_once_passed(simulator, sessions, open_session):
    session = simulator.pay(open_session().id, "pm_card_authenticationRequired")
    assert session["status"] == "open"

    simulator.authenticate(session["payment_intent"])
    assert sessions.retrieve(session["id"]).payment_status == "paid"


def test_an_expired_session_cannot_be_paid(simulator, sessions, open_session, event_types):
    session = sessions.expire(open_session().id)

    assert (session.status, session.url) == ("expired", None)
    assert event_types() == ["checkout.session.expired"]
    with pytest.raises(StripeRefusal, match="can be paid"):
        simulator.pay(session.id)


def test_a_session_expires_by_itself(clock, simulator, sessions, open_session):
    session = open_session(expires_at=int(clock.now().timestamp()) + 1800)
    clock.advance(timedelta(minutes=30))

    assert sessions.retrieve(session.id).status == "expired"
    assert simulator.events[-1]["request"] == {"id": None, "idempotency_key": None}


def test_an_intent_of_checkout_is_not_the_merchants_to_cancel(simulator, sessions, intents, open_session):
    session = simulator.pay(open_session().id, "pm_card_chargeDeclined")

    with pytest.raises(stripe.InvalidRequestError, match="created by Checkout"):
        intents.cancel(session["payment_intent"])
    sessions.expire(session["id"])
    assert intents.retrieve(session["payment_intent"]).status == "canceled"


def test_a_free_order_needs_no_intent(simulator, open_session):
    free = {"currency": "eur", "unit_amount": 0, "product_data": {"name": "Sample"}}
    session = simulator.pay(open_session(line_items=[{"quantity": 1, "price_data": free}]).id)

    assert (session["payment_status"], session["payment_intent"]) == ("no_payment_required", None)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"mode": None}, "mode"),
        ({"mode": "subscription"}, "mode"),
        ({"line_items": None}, "line_items"),
        ({"line_items": [{"price_data": {"currency": "eur", "unit_amount": 5}}]}, "line_items[0][quantity]"),
        ({"line_items": [{"price": "price_1", "quantity": 1}]}, "line_items[0][price]"),
        ({"success_url": None}, "success_url"),
        ({"client_reference_id": "x" * 201}, "client_reference_id"),
        ({"payment_method_types": ["card"]}, "payment_method_types"),
        ({"payment_intent_data": {"colour": "red"}}, "payment_intent_data[colour]"),
        ({"discounts": [{"coupon": "half"}]}, "discounts"),
        ({"expires_at": 1}, "expires_at"),
    ],
)
def test_what_checkout_refuses_is_refused_by_name(open_session, changes, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_session(**changes)
    assert refused.value.param == param


def test_a_held_amount_completes_unpaid_until_it_is_captured(simulator, sessions, intents, open_session):
    session = simulator.pay(open_session(payment_intent_data={"capture_method": "manual"}).id)
    assert (session["status"], session["payment_status"]) == ("complete", "unpaid")

    intents.capture(session["payment_intent"])
    assert sessions.retrieve(session["id"]).payment_status == "paid"


def test_line_items_keep_their_order(sessions, open_session):
    def item(name):
        return {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 900, "product_data": {"name": name}}}

    session = open_session(line_items=[item("Desk"), item("Lamp")], expand=["line_items"])

    assert [found.description for found in session.line_items.data] == ["Desk", "Lamp"]
    assert [found.description for found in sessions.line_items.list(session.id)] == ["Desk", "Lamp"]


def test_too_little_for_a_session_is_refused(open_session):
    cheap = {"currency": "eur", "unit_amount": 10, "product_data": {"name": "Pin"}}

    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_session(line_items=[{"quantity": 1, "price_data": cheap}])
    assert refused.value.code == "amount_too_small"


def test_an_open_session_can_be_corrected(simulator, sessions, open_session):
    session = open_session()
    sessions.update(session.id, {"metadata": {"also": "this"}})

    assert sessions.retrieve(session.id).metadata.to_dict() == {"of": "session", "also": "this"}
    assert [found.id for found in sessions.list({"status": "open"})] == [session.id]
