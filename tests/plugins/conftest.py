"""A CRM with the shipped steps, a simulated Stripe, and a few words to say what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import stripe

from azure_bridge.clock import ManualClock
from azure_bridge.secrets import Secrets
from dataverse_client.types import (
    Entity,
    EntityReference,
    Money,
    OptionSetValue,
    OrganizationService,
)
from plugins.payment_intents import CancelPaymentIntent, CreatePaymentIntent, UpdatePaymentIntent
from plugins.payment_tables import PaymentStatus
from runner.emulator.emulator import Emulator
from runner.emulator.seed import currency_id
from runner.execution.load import steps_from
from runner.execution.step import Image, Step
from runner.plugin import InvalidPluginExecutionException, Plugin, PluginContext
from runner.registrations.load import load
from runner.stripe_simulator import StripeSimulator

REGISTRATIONS = Path(__file__).parents[2] / "registrations.yaml"


class Shop:
    """CRM and Stripe side by side. Amounts are text, statuses the choice's names."""

    @staticmethod
    def usd(amount: str) -> Money:
        return Money(Decimal(amount))

    @staticmethod
    def choice(name: str) -> OptionSetValue:
        return OptionSetValue(PaymentStatus[name].value)

    def __init__(self, stripe_side: StripeSimulator, crm: Emulator) -> None:
        self.stripe = stripe_side
        self.client = stripe_side.client()
        self.crm = crm
        self.service: OrganizationService = crm.service()

    def status(self, table: str, row_id: str) -> str:
        return PaymentStatus(self.row(table, row_id)["new_paymentstatus"].value).name

    def create_payment(self, amount: str | None = "19.99", currency: str = "USD", **columns: Any) -> str:
        return self._create("new_payment", "new_amount", amount, currency, {"new_name": "Invoice 7", **columns})

    def create_order(self, total: str | None = "100.00", currency: str = "USD", **columns: Any) -> str:
        return self._create("salesorder", "totalamount", total, currency, {"name": "Order 1", **columns})

    def _create(self, table: str, column: str, amount: str | None, currency: str, columns: dict[str, Any]) -> str:
        row = Entity(table, attributes={"transactioncurrencyid": currency_reference(currency), **columns})
        if amount is not None:
            row[column] = Money(Decimal(amount))
        return self.service.create(row)

    def update(self, table: str, row_id: str, **columns: Any) -> None:
        self.service.update(Entity(table, row_id, columns))

    def row(self, table: str, row_id: str) -> Entity:
        return self.service.retrieve(table, row_id)

    def payment(self, row_id: str) -> Entity:
        return self.row("new_payment", row_id)

    def order(self, row_id: str) -> Entity:
        return self.row("salesorder", row_id)

    def session_of(self, row: Entity) -> stripe.checkout.Session:
        return self.client.v1.checkout.sessions.retrieve(row["new_stripecheckoutsessionid"])

    def intent_of(self, row: Entity) -> dict[str, Any]:
        return self.stripe.payment_intents[row["new_stripepaymentintentid"]]

    def live_intents(self) -> list[dict[str, Any]]:
        return [intent for intent in self.stripe.payment_intents.values() if intent["status"] != "canceled"]

    def calls(self) -> list[str]:
        """The requests Stripe got, such as ``POST /v1/payment_intents``."""
        return [f"{request.method.upper()} {request.path}" for request in self.stripe.requests]

    def bridge_writes(self, table: str, row_id: str, **columns: Any) -> None:
        """What the bridge does: its columns, and the ledger that only it writes."""
        self.update(table, row_id, new_stripeledger="{}", **columns)

    def set_total(self, order_id: str, total: str) -> None:
        self.update("salesorder", order_id, totalamount=self.usd(total))

    def set_amount(self, payment_id: str, amount: str, **columns: Any) -> None:
        self.update("new_payment", payment_id, new_amount=self.usd(amount), **columns)

    def set_status(self, table: str, row_id: str, name: str) -> None:
        self.update(table, row_id, new_paymentstatus=self.choice(name))

    def link(self, payment_id: str, order_id: str | None) -> None:
        order = EntityReference("salesorder", order_id) if order_id else None
        self.update("new_payment", payment_id, new_salesorderid=order)

    def trace_lines(self) -> str:
        return "\n".join(line for execution in self.crm.executions for line in execution.lines)

    def money_arrives(self, payment_id: str, amount: str) -> None:
        columns = {"new_paymentstatus": self.choice("COMPLETED"), "new_amountreceived": self.usd(amount)}
        self.bridge_writes("new_payment", payment_id, **columns)


def currency_reference(code: str) -> EntityReference:
    return EntityReference("transactioncurrency", currency_id(code))


def step(plugin: Plugin, message: str, entity: str = "new_payment", stage: int = 20, **facts: Any) -> Step:
    """A step with a pre-image where there can be one."""
    images = () if message == "Create" else (Image("before"),)
    return Step(plugin=plugin, message=message, entity=entity, stage=stage, images=images, **facts)


class RefusesWhatIsNamedSo(Plugin):
    """A later step that throws away every Payment named "refused"."""

    def execute(self, context: PluginContext) -> None:
        if context.target.get("new_name") == "refused":
            raise InvalidPluginExecutionException("Not today.")


@pytest.fixture
def registrations_file() -> Path:
    """The file the product ships."""
    return REGISTRATIONS


@pytest.fixture
def open_shop(clock: ManualClock) -> Iterator[Callable[..., Shop]]:
    """Opens a shop with the shipped steps, or with the steps given."""
    opened: list[Emulator] = []

    def open_shop(*steps: Step, key: str | None = None) -> Shop:
        simulator = StripeSimulator(clock=clock, seed=1)
        client = stripe.StripeClient(key or simulator.api_key, http_client=simulator.http_client())
        registered = steps or steps_from(load(REGISTRATIONS), Secrets({}))
        crm = Emulator(registered, services={stripe.StripeClient: client}, clock=clock)
        opened.append(crm)
        return Shop(simulator, crm)

    yield open_shop
    for crm in opened:
        crm.close()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    return open_shop()


@pytest.fixture
def payment_steps() -> Callable[..., list[Step]]:
    """The Payment's three steps, with one configuration, and one that rolls back Payments named "refused"."""

    def payment_steps(**configuration: Any) -> list[Step]:
        return [
            step(CreatePaymentIntent(configuration), "Create"),
            step(UpdatePaymentIntent(configuration), "Update"),
            step(CancelPaymentIntent(), "Delete"),
            step(RefusesWhatIsNamedSo(), "Create", stage=40),
            step(RefusesWhatIsNamedSo(), "Update", stage=40),
        ]

    return payment_steps


@pytest.fixture
def nothing() -> Step:
    """A step that does nothing, for a CRM that shall have no others."""

    class DoNothing(Plugin):
        def execute(self, context: PluginContext) -> None: ...

    return step(DoNothing(), "Create")
