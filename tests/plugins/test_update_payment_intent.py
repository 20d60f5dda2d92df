"""A row changes, and its intent follows for as long as Stripe lets it."""

from __future__ import annotations

import pytest

from dataverse_client.types import EntityReference
from plugins.stripe_payment import StripePayments
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.plugin_faults import IsvAborted
from runner.emulator.seed import currency_id

EUR = EntityReference("transactioncurrency", currency_id("EUR"))


@pytest.fixture
def payment_id(shop) -> str:
    return shop.create_payment("19.99")


@pytest.fixture
def intent_id(shop, payment_id) -> str:
    return shop.payment(payment_id)["new_stripepaymentintentid"]


def test_a_changed_amount_changes_the_intent(shop, payment_id) -> None:
    shop.set_amount(payment_id, "25.00")
    intent = shop.intent_of(shop.payment(payment_id))
    assert (intent["amount"], intent["currency"]) == (2500, "usd")
    assert len(shop.stripe.payment_intents) == 1


def test_a_changed_currency_changes_the_intent(shop, payment_id) -> None:
    shop.update("new_payment", payment_id, transactioncurrencyid=EUR)
    assert shop.intent_of(shop.payment(payment_id))["currency"] == "eur"


def test_amounts_can_go_back_and_forth(shop, payment_id) -> None:
    for amount in ("25.00", "19.99", "25.00", "19.99"):
        shop.set_amount(payment_id, amount)
    assert shop.intent_of(shop.payment(payment_id))["amount"] == 1999


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "PROCESSING", "CANCELED"])
def test_what_the_bridge_writes_makes_no_call(shop, payment_id, status) -> None:
    before = shop.calls()
    shop.bridge_writes("new_payment", payment_id, new_paymentstatus=shop.choice(status))
    assert shop.calls() == before


def test_the_same_amount_again_makes_no_call(shop, payment_id) -> None:
    before = shop.calls()
    shop.set_amount(payment_id, "19.99")
    assert shop.calls() == before


def test_a_status_other_than_canceled_is_not_stripes_business(shop, payment_id) -> None:
    before = shop.calls()
    shop.set_status("new_payment", payment_id, "COMPLETED")
    assert shop.calls() == before


@pytest.mark.parametrize(
    ("method", "state"),
    [("pm_card_visa", "has been paid"), ("pm_usBankAccount_success", "is being processed")],
)
def test_an_amount_that_stripe_has_taken_can_no_longer_change(shop, payment_id, intent_id, method, state) -> None:
    shop.stripe.pay(intent_id, method)
    for column in ({"new_amount": shop.usd("25.00")}, {"new_amount": None}, {"transactioncurrencyid": EUR}):
        with pytest.raises(IsvAborted, match=f"This payment {state}.*Refund it, or create another payment"):
            shop.update("new_payment", payment_id, **column)
    assert shop.payment(payment_id)["new_amount"] == shop.usd("19.9900")


def test_a_declined_payment_can_still_change(shop, payment_id, intent_id) -> None:
    shop.stripe.pay(intent_id, "pm_card_visa_chargeDeclined")
    shop.set_amount(payment_id, "25.00")
    assert shop.stripe.payment_intents[intent_id]["amount"] == 2500


def test_a_change_rolled_back_in_crm_is_taken_back_at_stripe(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps())
    payment_id = shop.create_payment("19.99")
    with pytest.raises(IsvAborted, match="Not today"):
        shop.set_amount(payment_id, "25.00", new_name="refused")
    assert shop.intent_of(shop.payment(payment_id))["amount"] == 1999


def test_an_intent_paid_in_the_same_moment_is_not_changed(shop, payment_id, intent_id, monkeypatch) -> None:
    def find_and_then_it_is_paid(self, find=StripePayments.find):
        found = find(self)
        shop.stripe.pay(intent_id)
        return found

    monkeypatch.setattr(StripePayments, "find", find_and_then_it_is_paid)
    with pytest.raises(IsvAborted, match="moved on with this payment"):
        shop.set_amount(payment_id, "25.00")
    assert shop.stripe.payment_intents[intent_id]["amount_received"] == 1999
    assert shop.payment(payment_id)["new_amount"] == shop.usd("19.9900")


# --- canceling ---------------------------------------------------------------------------------------------


def test_a_clerk_who_cancels_the_row_cancels_the_intent(shop, payment_id, intent_id) -> None:
    shop.set_status("new_payment", payment_id, "CANCELED")
    assert shop.stripe.payment_intents[intent_id]["status"] == "canceled"
    assert shop.status("new_payment", payment_id) == "CANCELED"


def test_canceling_twice_is_harmless(shop, payment_id) -> None:
    for _ in range(2):
        shop.set_status("new_payment", payment_id, "CANCELED")
    assert shop.live_intents() == []


def test_a_paid_payment_cannot_be_canceled(shop, payment_id, intent_id) -> None:
    shop.stripe.pay(intent_id)
    with pytest.raises(IsvAborted, match=r"has been paid.*Refund it instead"):
        shop.set_status("new_payment", payment_id, "CANCELED")


def test_an_authorization_is_released_when_the_row_is_canceled(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps(capture_method="manual"))
    payment_id = shop.create_payment()
    shop.stripe.pay(shop.payment(payment_id)["new_stripepaymentintentid"])
    with pytest.raises(IsvAborted, match="authorized on the customer's card"):
        shop.set_amount(payment_id, "25.00")
    shop.set_status("new_payment", payment_id, "CANCELED")
    assert shop.live_intents() == []


def test_a_canceled_payment_with_a_new_amount_has_a_new_intent(shop, payment_id, intent_id) -> None:
    shop.set_status("new_payment", payment_id, "CANCELED")
    shop.set_amount(payment_id, "25.00")
    payment = shop.payment(payment_id)
    assert payment["new_stripepaymentintentid"] != intent_id
    assert shop.intent_of(payment)["amount"] == 2500
    assert shop.status("new_payment", payment_id) == "PENDING"


def test_a_new_attempt_does_not_show_the_old_failure(shop, payment_id) -> None:
    shop.update("new_payment", payment_id, new_failurecode="card_declined", new_failuremessage="No.")
    shop.set_status("new_payment", payment_id, "CANCELED")
    shop.set_amount(payment_id, "25.00")
    assert shop.payment(payment_id).get("new_failurecode") is None


def test_deleting_a_row_cancels_its_intent(shop, payment_id, intent_id) -> None:
    shop.service.delete("new_payment", payment_id)
    assert shop.stripe.payment_intents[intent_id]["status"] == "canceled"


def test_a_paid_row_cannot_be_deleted(shop, payment_id, intent_id) -> None:
    shop.stripe.pay(intent_id)
    with pytest.raises(IsvAborted, match="neither canceled nor deleted"):
        shop.service.delete("new_payment", payment_id)
    assert shop.payment(payment_id).id == payment_id


def test_a_row_whose_intent_is_canceled_already_can_be_deleted(shop, payment_id, intent_id) -> None:
    shop.client.v1.payment_intents.cancel(intent_id)
    shop.service.delete("new_payment", payment_id)
    with pytest.raises(ObjectDoesNotExist):
        shop.payment(payment_id)


def test_a_row_whose_amount_is_cleared_is_no_longer_collected(shop, payment_id, intent_id) -> None:
    shop.update("new_payment", payment_id, new_amount=None)
    assert shop.stripe.payment_intents[intent_id]["status"] == "canceled"


def test_a_row_stripe_has_forgotten_can_be_deleted(shop, payment_id) -> None:
    shop.update("new_payment", payment_id, new_stripepaymentintentid="pi_of_another_account")
    shop.service.delete("new_payment", payment_id)
    assert "nothing to cancel" in shop.trace_lines()


def test_a_row_without_an_intent_is_deleted_without_a_call(shop) -> None:
    shop.service.delete("new_payment", shop.create_payment(None))
    assert shop.calls() == []
