"""Away from the transaction a notification can come late, twice or out of order: the row as it is now decides."""

from __future__ import annotations

import pytest
import stripe

from dataverse_client.types import Entity, EntityReference
from plugins.payment_intents import CreatePaymentIntent, UpdatePaymentIntent
from runner.plugin import (
    Caller,
    InvalidPluginExecutionException,
    MessageOperation,
    Organization,
    PluginContext,
)


class Host:
    """Runs plug-ins after the fact, as a webhook's receiver does."""

    def __init__(self, shop) -> None:
        self._shop = shop

    def trace(self, message, *arguments) -> None: ...

    def on_rollback(self, action) -> None: ...

    def organization_service(self, context, user_id):
        return self._shop.service

    def service(self, kind):
        return {stripe.StripeClient: self._shop.client}[kind]


@pytest.fixture
def shop(open_shop, nothing):
    """CRM without steps: they run elsewhere, later."""
    return open_shop(nothing)


@pytest.fixture
def notify(shop):
    """Runs a step on a notification, and writes back what it changed."""

    def notify(plugin, message: str, payment_id: str, correlation_id: str = "c-1", **told) -> None:
        target = Entity("new_payment", payment_id, told)
        operation = MessageOperation(
            organization=Organization(organization_id=shop.crm.organization.organization_id, organization_name="o"),
            caller=Caller(initiating_user_id=shop.crm.administrator_id),
            message_name=message,
            primary_entity_name="new_payment",
            primary_entity_id=payment_id,
            input_parameters={"Target": target},
            correlation_id=correlation_id,
        )
        context = PluginContext(
            operation,
            Host(shop),
            stage=20,
            mode=1,
            owning_extension=EntityReference("sdkmessageprocessingstep", name="step"),
            user_id=shop.crm.administrator_id,
            is_in_transaction=False,
            shared_variables={},
        )
        plugin.execute(context)
        changes = {column: value for column, value in target.items() if told.get(column) != value}
        if changes:
            shop.update("new_payment", payment_id, **changes)

    return notify


def test_a_creation_told_twice_makes_one_intent(shop, notify) -> None:
    payment_id = shop.create_payment("19.99")
    for _ in range(2):
        notify(CreatePaymentIntent(), "Create", payment_id, new_amount=shop.usd("19.99"))
    assert shop.intent_of(shop.payment(payment_id))["amount"] == 1999
    assert len(shop.stripe.payment_intents) == 1


def test_a_worker_that_died_before_writing_back_finds_its_intent_again(shop, notify, monkeypatch) -> None:
    payment_id = shop.create_payment("19.99")
    with monkeypatch.context() as dying:
        dying.setattr(shop, "update", lambda *_, **__: None)
        notify(CreatePaymentIntent(), "Create", payment_id, "c-1")
    notify(CreatePaymentIntent(), "Create", payment_id, "c-2")
    assert len(shop.stripe.payment_intents) == 1
    assert shop.intent_of(shop.payment(payment_id))["amount"] == 1999


@pytest.mark.parametrize("failures", [1, 2, 3])
@pytest.mark.parametrize("fault", ["server_error", "refused"])
def test_a_failure_that_stripe_repeats_for_its_key_does_not_last(shop, notify, failures, fault) -> None:
    """Stripe answers a key for a day with what it answered first, were it an account that could not yet be charged."""
    payment_id = shop.create_payment("19.99")
    for keys in range(1, failures + 1):
        shop.stripe.fail_next(fault, times=keys, on="POST /v1/payment_intents")
        with pytest.raises(InvalidPluginExecutionException, match=r"Save again in a minute|Stripe refused"):
            notify(CreatePaymentIntent(), "Create", payment_id)
    notify(CreatePaymentIntent(), "Create", payment_id)
    assert shop.live_intents() == [shop.intent_of(shop.payment(payment_id))]


def test_a_creation_told_late_collects_what_the_row_says_now(shop, notify) -> None:
    payment_id = shop.create_payment("19.99")
    shop.set_amount(payment_id, "25.00")
    notify(CreatePaymentIntent(), "Create", payment_id, new_amount=shop.usd("19.99"))
    assert shop.intent_of(shop.payment(payment_id))["amount"] == 2500


def test_changes_told_out_of_order_end_at_the_row_as_it_is(shop, notify) -> None:
    payment_id = shop.create_payment("19.99")
    notify(CreatePaymentIntent(), "Create", payment_id)
    shop.set_amount(payment_id, "25.00")
    shop.set_amount(payment_id, "30.00")
    for amount in ("30.00", "25.00"):
        notify(UpdatePaymentIntent(), "Update", payment_id, new_amount=shop.usd(amount))
    assert shop.intent_of(shop.payment(payment_id))["amount"] == 3000


def test_the_write_back_itself_makes_no_call(shop, notify) -> None:
    payment_id = shop.create_payment("19.99")
    notify(CreatePaymentIntent(), "Create", payment_id)
    before = shop.calls()
    written = {"new_stripepaymentintentid": "pi_1", "new_paymentstatus": shop.choice("PENDING")}
    notify(UpdatePaymentIntent(), "Update", payment_id, **written)
    assert shop.calls() == before


def test_a_row_deleted_meanwhile_needs_no_intent(shop, notify) -> None:
    payment_id = shop.create_payment("19.99")
    shop.service.delete("new_payment", payment_id)
    notify(CreatePaymentIntent(), "Create", payment_id, new_amount=shop.usd("19.99"))
    assert shop.calls() == []
