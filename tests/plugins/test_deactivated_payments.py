"""A Payment that is put away unpaid can no longer be paid; one that was paid is put away as it is."""

from __future__ import annotations

from contextlib import closing

import pytest

from azure_bridge.secrets import Secrets
from dataverse_client.types import Entity, EntityReference, OptionSetValue, OrganizationRequest, QueryExpression
from plugins.payment_tables import PaymentStatus
from runner.emulator.emulator import Emulator
from runner.emulator.plugin_faults import IsvAborted
from runner.execution.load import steps_from
from runner.registrations.load import load

ACTIVE, INACTIVE, ORDER_CANCELED = 0, 1, 2


@pytest.fixture
def payment_id(shop) -> str:
    return shop.create_payment("19.99")


def deactivate(shop, payment_id: str) -> None:
    shop.update("new_payment", payment_id, statecode=OptionSetValue(INACTIVE))


def intents(shop) -> list[str]:
    return [intent["status"] for intent in shop.stripe.payment_intents.values()]


def test_an_unpaid_payment_that_is_deactivated_is_canceled(shop, payment_id) -> None:
    deactivate(shop, payment_id)
    assert intents(shop) == ["canceled"]
    assert shop.status("new_payment", payment_id) == "CANCELED"


def test_so_is_one_deactivated_by_set_state(shop, payment_id) -> None:
    moniker = EntityReference("new_payment", payment_id)
    state = {"State": OptionSetValue(INACTIVE), "Status": OptionSetValue(-1)}
    shop.service.execute(OrganizationRequest("SetState", {"EntityMoniker": moniker, **state}))
    assert intents(shop) == ["canceled"]


def test_a_page_is_closed_too(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps(collect="checkout", success_url="https://shop.example.com/thanks"))
    payment_id = shop.create_payment("19.99")
    deactivate(shop, payment_id)
    assert shop.session_of(shop.payment(payment_id)).status == "expired"


def test_an_authorization_is_released(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps(capture_method="manual"))
    payment_id = shop.create_payment("19.99")
    shop.stripe.pay(shop.payment(payment_id)["new_stripepaymentintentid"])
    deactivate(shop, payment_id)
    assert intents(shop) == ["canceled"]


@pytest.mark.parametrize(
    ("method", "status"), [("pm_card_visa", "succeeded"), ("pm_usBankAccount_success", "processing")]
)
def test_a_paid_payment_is_put_away_as_it_is(shop, payment_id, method, status) -> None:
    shop.stripe.pay(shop.payment(payment_id)["new_stripepaymentintentid"], method)
    deactivate(shop, payment_id)
    assert intents(shop) == [status]
    assert shop.status("new_payment", payment_id) == "PENDING"
    assert shop.payment(payment_id)["statecode"].value == INACTIVE


@pytest.mark.parametrize("together", [True, False])
def test_the_amount_of_a_paid_payment_cannot_change_even_when_it_is_put_away(shop, payment_id, together) -> None:
    shop.stripe.pay(shop.payment(payment_id)["new_stripepaymentintentid"])
    if not together:
        deactivate(shop, payment_id)
    with pytest.raises(IsvAborted, match="has been paid"):
        shop.set_amount(payment_id, "25.00", statecode=OptionSetValue(INACTIVE))


def test_nothing_is_collected_for_an_inactive_payment(shop, payment_id) -> None:
    deactivate(shop, payment_id)
    shop.set_amount(payment_id, "25.00")
    shop.create_payment("5.00", statecode=OptionSetValue(INACTIVE))
    assert shop.live_intents() == []


def test_a_payment_activated_again_is_collected_with_its_next_amount(shop, payment_id) -> None:
    deactivate(shop, payment_id)
    shop.update("new_payment", payment_id, statecode=OptionSetValue(ACTIVE))
    assert shop.live_intents() == []
    shop.set_amount(payment_id, "25.00")
    assert [intent["amount"] for intent in shop.live_intents()] == [2500]


def test_the_order_asks_for_what_a_deactivated_payment_no_longer_does(shop) -> None:
    order_id = shop.create_order("100.00")
    payment_id = shop.create_payment("40.00", new_salesorderid=EntityReference("salesorder", order_id))
    assert shop.intent_of(shop.order(order_id))["amount"] == 6000
    deactivate(shop, payment_id)
    assert shop.intent_of(shop.order(order_id))["amount"] == 10000


def test_an_inactive_payment_without_an_intent_claims_nothing_of_its_order_until_it_is_collected(shop) -> None:
    order_id = shop.create_order("100.00")
    link = EntityReference("salesorder", order_id)
    payment_id = shop.create_payment("40.00", new_salesorderid=link, statecode=OptionSetValue(INACTIVE))
    assert shop.intent_of(shop.order(order_id))["amount"] == 10000
    shop.set_amount(payment_id, "30.00", statecode=OptionSetValue(ACTIVE))
    assert sorted(intent["amount"] for intent in shop.live_intents()) == [3000, 7000]


def test_an_inactive_payment_that_was_paid_elsewhere_still_counts_for_its_order(shop) -> None:
    order_id = shop.create_order("100.00")
    paid = {"new_salesorderid": EntityReference("salesorder", order_id), "new_paymentstatus": shop.choice("COMPLETED")}
    shop.create_payment("40.00", statecode=OptionSetValue(INACTIVE), **paid)
    assert shop.intent_of(shop.order(order_id))["amount"] == 6000


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED"])
def test_a_payment_that_was_never_to_be_collected_keeps_its_status(shop, status) -> None:
    payment_id = shop.create_payment("19.99", new_paymentstatus=shop.choice(status))
    deactivate(shop, payment_id)
    assert shop.status("new_payment", payment_id) == status


def test_a_payment_without_an_intent_can_be_put_away_where_there_is_no_stripe(registrations_file, clock) -> None:
    steps = steps_from(load(registrations_file), Secrets({}))
    with closing(Emulator(steps, clock=clock)) as crm:
        columns = {"new_name": "Cash", "new_paymentstatus": OptionSetValue(PaymentStatus.COMPLETED)}
        payment_id = crm.service().create(Entity("new_payment", attributes=columns))
        crm.service().update(Entity("new_payment", payment_id, {"statecode": OptionSetValue(INACTIVE)}))
        crm.service().delete("new_payment", payment_id)
        assert not crm.service().retrieve_multiple(QueryExpression("new_payment")).entities


def test_an_order_whose_state_becomes_canceled_can_no_longer_be_paid(shop) -> None:
    order_id = shop.create_order("100.00")
    shop.update("salesorder", order_id, statecode=OptionSetValue(ORDER_CANCELED))
    assert intents(shop) == ["canceled"]


def test_an_order_that_is_fulfilled_can_still_be_paid(shop) -> None:
    order_id = shop.create_order("100.00")
    shop.update("salesorder", order_id, statecode=OptionSetValue(3))
    assert intents(shop) == ["requires_payment_method"]
    assert PaymentStatus[shop.status("salesorder", order_id)] is PaymentStatus.PENDING


def test_a_transaction_that_fails_leaves_the_payment_as_it_was(open_shop, payment_steps) -> None:
    shop = open_shop(*payment_steps())
    payment_id = shop.create_payment("19.99")
    with pytest.raises(Exception, match="Not today"):
        shop.update("new_payment", payment_id, new_name="refused", statecode=OptionSetValue(INACTIVE))
    assert shop.status("new_payment", payment_id) == "PENDING"
