"""``collect: checkout``: the customer pays on a page of Stripe's, whose address is written on the row."""

from __future__ import annotations

import pytest

from runner.emulator.plugin_faults import IsvAborted

CHECKOUT = {
    "collect": "checkout",
    "success_url": "https://shop.example.com/thanks",
    "cancel_url": "https://shop.example.com/basket",
    "description": "{{ row.new_name }}",
}


@pytest.fixture
def shop(open_shop, payment_steps):
    return open_shop(*payment_steps(**CHECKOUT))


@pytest.fixture
def payment_id(shop) -> str:
    return shop.create_payment("19.99", new_receiptemail="ann@example.com")


def sessions(shop) -> dict[str, str]:
    return {session.id: session.status for session in shop.client.v1.checkout.sessions.list()}


def test_the_row_has_a_page_to_send_to_the_customer(shop, payment_id) -> None:
    payment = shop.payment(payment_id)
    session = shop.session_of(payment)
    assert payment["new_checkouturl"] == session.url
    assert payment.get("new_stripepaymentintentid") is None
    assert (session.amount_total, session.currency, session.client_reference_id) == (1999, "usd", payment_id)
    assert session.customer_email == "ann@example.com"
    assert (session.success_url, session.cancel_url) == (CHECKOUT["success_url"], CHECKOUT["cancel_url"])
    assert shop.status("new_payment", payment_id) == "PENDING"


def test_the_intent_of_the_page_leads_back_to_the_row(shop, payment_id) -> None:
    session = shop.session_of(shop.payment(payment_id))
    shop.stripe.pay(session.id)
    (intent,) = shop.stripe.payment_intents.values()
    assert intent["metadata"]["CRM_PaymentId"] == session.metadata["CRM_PaymentId"] == payment_id
    assert intent["metadata"]["CRM_CorrelationId"] == session.metadata["CRM_CorrelationId"]
    assert intent["description"] == "Invoice 7"


def test_a_changed_amount_is_another_page_and_the_old_one_is_closed(shop, payment_id) -> None:
    old = shop.session_of(shop.payment(payment_id))
    shop.set_amount(payment_id, "25.00")
    new = shop.session_of(shop.payment(payment_id))
    assert sessions(shop) == {old.id: "expired", new.id: "open"}
    assert new.amount_total == 2500
    assert shop.payment(payment_id)["new_checkouturl"] == new.url


def test_a_row_copied_with_its_ledger_gets_a_page_of_its_own(shop, payment_id) -> None:
    others = shop.session_of(shop.payment(payment_id))
    copied = {"new_stripecheckoutsessionid": others.id, "new_stripeledger": '{"pinned_session":"cs_1"}'}
    copy_id = shop.create_payment("19.99", new_paymentstatus=shop.choice("PENDING"), **copied)
    assert shop.session_of(shop.payment(copy_id)).client_reference_id == copy_id


@pytest.mark.parametrize("status", ["PENDING", "FAILED"])
def test_a_copied_row_leaves_the_page_of_the_other_open(shop, payment_id, status) -> None:
    others = shop.session_of(shop.payment(payment_id))
    copied = {"new_stripecheckoutsessionid": others.id, "new_paymentstatus": shop.choice(status)}
    copy_id = shop.create_payment("19.99", **copied)
    shop.set_amount(copy_id, "25.00")
    shop.service.delete("new_payment", copy_id)
    assert sessions(shop)[others.id] == "open"
    assert [status for id, status in sessions(shop).items() if id != others.id and status != "expired"] == []


def test_a_page_that_was_paid_is_not_replaced(shop, payment_id) -> None:
    shop.stripe.pay(shop.payment(payment_id)["new_stripecheckoutsessionid"])
    with pytest.raises(IsvAborted, match="has been paid"):
        shop.set_amount(payment_id, "25.00")
    assert list(sessions(shop).values()) == ["complete"]


def test_canceling_or_deleting_the_row_closes_the_page(shop, payment_id) -> None:
    other_id = shop.create_payment("5.00")
    shop.set_status("new_payment", payment_id, "CANCELED")
    shop.service.delete("new_payment", other_id)
    assert set(sessions(shop).values()) == {"expired"}


def test_an_expired_page_is_replaced_when_the_amount_changes(shop, payment_id) -> None:
    shop.stripe.expire(shop.payment(payment_id)["new_stripecheckoutsessionid"])
    shop.set_amount(payment_id, "25.00")
    assert shop.session_of(shop.payment(payment_id)).status == "open"


def test_a_page_whose_bank_debit_failed_later_is_replaced(shop, payment_id) -> None:
    shop.stripe.pay(shop.payment(payment_id)["new_stripecheckoutsessionid"], "pm_usBankAccount_success")
    (intent,) = shop.stripe.payment_intents.values()
    shop.stripe.settle(intent["id"], succeed=False)
    shop.set_amount(payment_id, "25.00")
    assert shop.session_of(shop.payment(payment_id)).status == "open"


def test_a_row_rolled_back_leaves_no_open_page(shop) -> None:
    with pytest.raises(IsvAborted, match="Not today"):
        shop.create_payment(new_name="refused")
    assert list(sessions(shop).values()) == ["expired"]


def test_a_row_collected_by_an_intent_turns_to_a_page_when_it_changes(open_shop, payment_steps, shop) -> None:
    create_intent, *_ = payment_steps()
    _, update_by_checkout, *_ = payment_steps(**CHECKOUT)
    shop = open_shop(create_intent, update_by_checkout)
    payment_id = shop.create_payment("19.99")
    shop.set_amount(payment_id, "25.00")
    payment = shop.payment(payment_id)
    assert shop.live_intents() == []
    assert payment.get("new_stripepaymentintentid") is None
    assert shop.session_of(payment).amount_total == 2500
