"""An order and its Payment are paid, and the bridge's own events bring both rows where they belong."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import stripe

from azure_bridge.secrets import Secrets
from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue
from runner.emulator.seed import ORGANIZATION_ID, currency_id
from runner.execution.load import steps_from
from runner.registrations.load import load
from runner.simulation.environment import EmbeddedEnvironment
from runner.stripe_simulator import StripeSimulator

USD = EntityReference("transactioncurrency", currency_id("USD"))
COMPLETED, CANCELED = 100_000_005, 100_000_007


class Road:
    """CRM, Stripe and the bridge between them."""

    def __init__(self, registrations, directory, clock) -> None:
        self.stripe = StripeSimulator(clock=clock)
        self.environment = EmbeddedEnvironment(
            steps_from(registrations, Secrets({})),
            registrations.to_bridge_configuration(organization_id=ORGANIZATION_ID),
            directory=directory,
            webhook_secret=self.stripe.webhook_secret,
            services={stripe.StripeClient: self.stripe.client()},
            clock=clock,
        )
        self.crm = self.environment.crm.service()

    def create(self, table: str, amount_column: str, amount: str, **columns) -> str:
        money = {amount_column: Money(Decimal(amount)), "transactioncurrencyid": USD}
        return self.crm.create(Entity(table, attributes={**money, **columns}))

    def pay(self, table: str, row_id: str) -> None:
        self.stripe.pay(self.crm.retrieve(table, row_id)["new_stripepaymentintentid"])

    def carry_events(self, *, shuffle: int | None = None) -> None:
        for delivery in self.stripe.deliveries(twice=True, shuffle=shuffle):
            self.environment.deliver(delivery.payload, delivery.signature)
        self.environment.drain()

    def dead_letters(self) -> list[str | None]:
        return [letter.dead_letter_description for letter in self.environment.queue.peek(dead_letters=True)]

    def order(self, order_id: str) -> tuple[int, Decimal]:
        row = self.crm.retrieve("salesorder", order_id)
        return row["new_paymentstatus"].value, row["new_amountreceived"].value


@pytest.fixture
def road(tmp_path, clock, registrations_file):
    road = Road(load(registrations_file), tmp_path, clock)
    yield road
    road.environment.close()


@pytest.mark.parametrize("shuffle", [None, 1, 2, 3])
def test_an_order_paid_by_its_own_intent_and_by_a_payment_is_completed(road, shuffle) -> None:
    order_id = road.create("salesorder", "totalamount", "100.00", name="Order 1")
    link = EntityReference("salesorder", order_id)
    payment_id = road.create("new_payment", "new_amount", "40.00", new_name="Deposit", new_salesorderid=link)
    road.pay("salesorder", order_id)
    road.pay("new_payment", payment_id)
    road.carry_events(shuffle=shuffle)
    assert road.order(order_id) == (COMPLETED, 100)


@pytest.mark.parametrize("shuffle", [None, 1, 2, 3])
def test_an_order_paid_by_payments_alone_does_not_show_its_own_canceled_intent(road, shuffle) -> None:
    order_id = road.create("salesorder", "totalamount", "100.00", name="Order 1")
    link = EntityReference("salesorder", order_id)
    payment_id = road.create("new_payment", "new_amount", "100.00", new_name="All", new_salesorderid=link)
    road.pay("new_payment", payment_id)
    road.carry_events(shuffle=shuffle)
    assert road.order(order_id) == (COMPLETED, 100)
    assert road.crm.retrieve("salesorder", order_id)["new_ownpaymentstatus"].value == CANCELED


def test_a_payment_of_a_canceled_order_completes_while_stripe_is_away(road) -> None:
    """The order was put away long ago: Stripe need not be asked about it again."""
    order_id = road.create("salesorder", "totalamount", "100.00", name="Order 1")
    link = EntityReference("salesorder", order_id)
    payment_id = road.create("new_payment", "new_amount", "100.00", new_name="All", new_salesorderid=link)
    road.crm.update(Entity("salesorder", order_id, {"statecode": OptionSetValue(2)}))
    road.pay("new_payment", payment_id)
    road.stripe.fail_next("unavailable", times=20)
    road.carry_events()
    assert road.dead_letters() == []
    assert road.crm.retrieve("new_payment", payment_id)["new_paymentstatus"].value == COMPLETED


def test_an_event_waits_until_stripe_can_be_asked_for_what_the_order_now_collects(road, clock) -> None:
    """The Payment's intent is canceled in the Dashboard, so that its order's own has to ask for more."""
    order_id = road.create("salesorder", "totalamount", "100.00", name="Order 1")
    link = EntityReference("salesorder", order_id)
    payment_id = road.create("new_payment", "new_amount", "40.00", new_name="Deposit", new_salesorderid=link)
    canceled = road.crm.retrieve("new_payment", payment_id)["new_stripepaymentintentid"]
    road.stripe.client().v1.payment_intents.cancel(canceled)
    road.stripe.fail_next("unavailable")
    road.carry_events()
    assert road.dead_letters() == []
    clock.advance(timedelta(minutes=10))
    road.environment.drain()
    assert road.crm.retrieve("new_payment", payment_id)["new_paymentstatus"].value == CANCELED
    own = road.crm.retrieve("salesorder", order_id)["new_stripepaymentintentid"]
    assert road.stripe.payment_intents[own]["amount"] == 10000
