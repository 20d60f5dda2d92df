"""A row appears in CRM, and Stripe has an intent that matches it."""

from __future__ import annotations

import pytest

from dataverse_client.types import OptionSetValue, new_guid
from runner.emulator.plugin_faults import IsvAborted
from runner.plugin import OperationStatus

COMPLETED = OptionSetValue(100_000_005)


def test_a_new_payment_has_an_intent_of_its_amount_that_leads_back_to_it(shop) -> None:
    payment_id = shop.create_payment("19.99", "USD")
    payment = shop.payment(payment_id)
    intent = shop.intent_of(payment)
    assert (intent["amount"], intent["currency"], intent["status"]) == (1999, "usd", "requires_payment_method")
    assert intent["metadata"] == {
        "CRM_PaymentId": payment_id,
        "CRM_Table": "new_payment",
        "CRM_OrganizationId": shop.crm.organization.organization_id,
        "CRM_CorrelationId": shop.crm.executions[0].context.correlation_id,
    }
    assert shop.status("new_payment", payment_id) == "PENDING"


def test_a_new_order_has_an_intent_that_leads_back_to_it(shop) -> None:
    order_id = shop.create_order("100.00")
    intent = shop.intent_of(shop.order(order_id))
    assert intent["amount"] == 10000
    assert intent["metadata"]["CRM_SalesOrderId"] == order_id
    assert shop.status("salesorder", order_id) == "PENDING"


def test_one_call_to_stripe_is_enough(shop) -> None:
    shop.create_payment()
    assert shop.calls() == ["POST /v1/payment_intents"]


@pytest.mark.parametrize(
    ("amount", "currency", "units"), [("500", "JPY", 500), ("5.12", "KWD", 5120), ("19.99", "USD", 1999)]
)
def test_amounts_are_in_the_currencys_minor_units(shop, amount, currency, units) -> None:
    assert shop.intent_of(shop.payment(shop.create_payment(amount, currency)))["amount"] == units


@pytest.mark.parametrize(
    ("amount", "currency", "why"),
    [("0.30", "USD", r"minimum is 0\.50 USD"), ("5.124", "KWD", r"Use 5\.12 or 5\.13"), ("0", "USD", "minimum")],
)
def test_what_cannot_be_charged_is_refused_in_a_clerks_words(shop, amount, currency, why) -> None:
    with pytest.raises(IsvAborted, match=why):
        shop.create_payment(amount, currency)
    assert shop.calls() == []


def test_rounding_happens_where_it_is_configured(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps(rounding="half_up"))
    assert shop.intent_of(shop.payment(shop.create_payment("5.124", "KWD")))["amount"] == 5120


def test_without_a_currency_the_organizations_is_meant(shop) -> None:
    payment_id = shop.create_payment("7.00", transactioncurrencyid=None)
    assert shop.intent_of(shop.payment(payment_id))["currency"] == "usd"


@pytest.mark.parametrize("create", ["create_payment", "create_order"])
def test_a_row_without_an_amount_has_no_intent(shop, create) -> None:
    getattr(shop, create)(None)
    assert shop.calls() == []


def test_an_order_has_its_intent_when_its_total_appears(shop) -> None:
    order_id = shop.create_order("0")
    assert shop.calls() == []
    shop.set_total(order_id, "80")
    assert shop.intent_of(shop.order(order_id))["amount"] == 8000


def test_a_payment_made_elsewhere_is_left_alone(shop) -> None:
    payment_id = shop.create_payment(new_paymentstatus=COMPLETED)
    shop.set_amount(payment_id, "25")
    assert shop.calls() == []
    assert shop.status("new_payment", payment_id) == "COMPLETED"


def test_an_order_the_bridge_creates_is_left_alone(shop) -> None:
    shop.create_order(new_stripeledger="{}", new_ownpaymentstatus=COMPLETED)
    assert shop.calls() == []


def test_configured_texts_and_choices_reach_the_intent(open_shop, payment_steps) -> None:
    shop = open_shop(
        *payment_steps(
            description="{{ row.new_name }}: {{ amount }} {{ currency }}",
            statement_descriptor_suffix="Café <{{ row.new_name }}>",
            receipt_email="{{ row.new_receiptemail }}",
            allowed_payment_method_types=["card"],
            capture_method="manual",
        )
    )
    intent = shop.intent_of(shop.payment(shop.create_payment(new_receiptemail="ann@example.com")))
    assert intent["description"] == "Invoice 7: 19.99 USD"
    assert intent["statement_descriptor_suffix"] == "Cafe Invoice 7"
    assert intent["receipt_email"] == "ann@example.com"
    assert intent["allowed_payment_method_types"] == ["card"]
    assert intent["capture_method"] == "manual"


def test_by_default_stripe_offers_every_payment_method_that_fits(shop) -> None:
    intent = shop.intent_of(shop.payment(shop.create_payment()))
    assert intent["automatic_payment_methods"] == {"enabled": True}


# --- when it goes wrong ------------------------------------------------------------------------------------


def test_a_row_rolled_back_leaves_no_live_intent(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps())
    with pytest.raises(IsvAborted, match="Not today"):
        shop.create_payment(new_name="refused")
    assert len(shop.stripe.payment_intents) == 1
    assert shop.live_intents() == []


def test_the_same_row_saved_again_after_rollbacks_has_the_only_live_intent(open_shop, payment_steps) -> None:
    shop, payment_id = open_shop(*payment_steps()), new_guid()
    for _ in range(2):
        with pytest.raises(IsvAborted, match="Not today"):
            shop.create_payment(new_paymentid=payment_id, new_name="refused")
    shop.create_payment(new_paymentid=payment_id)
    assert [intent["id"] for intent in shop.live_intents()] == [shop.payment(payment_id)["new_stripepaymentintentid"]]


def test_the_same_row_saved_with_another_amount_asks_under_another_key(open_shop, payment_steps) -> None:
    """The key of the attempt that was rolled back stands for the first amount."""
    shop, payment_id = open_shop(*payment_steps()), new_guid()
    with pytest.raises(IsvAborted, match="Not today"):
        shop.create_payment("19.99", new_paymentid=payment_id, new_name="refused")
    shop.create_payment("25.00", new_paymentid=payment_id)
    asked = [request for request in shop.stripe.requests if request.path == "/v1/payment_intents"]
    assert len(asked) == len({request.idempotency_key for request in asked}) == 2
    assert [intent["amount"] for intent in shop.live_intents()] == [2500]


def test_an_answer_that_was_lost_makes_no_second_intent(shop) -> None:
    payment_id = new_guid()
    shop.stripe.fail_next("connection_reset_after")
    with pytest.raises(IsvAborted, match="cannot be reached") as refused:
        shop.create_payment(new_paymentid=payment_id)
    assert refused.value.operation_status is OperationStatus.RETRY
    shop.create_payment(new_paymentid=payment_id)
    assert [intent["id"] for intent in shop.live_intents()] == [shop.payment(payment_id)["new_stripepaymentintentid"]]


def test_neither_client_secret_nor_address_is_kept_or_traced(shop) -> None:
    payment_id = shop.create_payment(new_receiptemail="ann@example.com")
    kept = f"{shop.payment(payment_id).attributes} {shop.trace_lines()}"
    assert "_secret_" not in kept
    assert "ann@example.com" not in shop.trace_lines()
    assert "ann@example.com" not in f"{[request.idempotency_key for request in shop.stripe.requests]}"
    assert all(len(request.idempotency_key) <= 255 for request in shop.stripe.requests)


def test_a_copied_row_has_an_intent_of_its_own(shop) -> None:
    """A copy names what the other row named."""
    payment_id = shop.create_payment("19.99")
    copied = shop.payment(payment_id)["new_stripepaymentintentid"]
    copy_id = shop.create_payment("25.00", new_stripepaymentintentid=copied)
    for row_id, units in ((payment_id, 1999), (copy_id, 2500)):
        intent = shop.intent_of(shop.payment(row_id))
        assert (intent["metadata"]["CRM_PaymentId"], intent["amount"]) == (row_id, units)


def test_an_intent_of_another_organization_is_left_alone(shop) -> None:
    """As after a copy of a whole environment, where the ids of the rows are the same."""
    payment_id = shop.create_payment("19.99")
    copied = shop.payment(payment_id)["new_stripepaymentintentid"]
    shop.client.v1.payment_intents.update(copied, {"metadata": {"CRM_OrganizationId": new_guid()}})
    shop.set_amount(payment_id, "25.00")
    assert shop.stripe.payment_intents[copied]["amount"] == 1999
    assert shop.intent_of(shop.payment(payment_id))["amount"] == 2500


def test_an_intent_that_names_no_row_is_taken_for_the_one_that_names_it(shop) -> None:
    made_by_hand = shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"}).id
    payment_id = shop.create_payment("19.99", new_stripepaymentintentid=made_by_hand)
    assert shop.intent_of(shop.payment(payment_id))["id"] == made_by_hand
    assert shop.intent_of(shop.payment(payment_id))["amount"] == 1999
