"""The shipped plug-ins inside the transaction of a Dataverse elsewhere: three processes, real HTTP between them."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from served_stripe import served_stripe

from dataverse_client.errors import DataverseError
from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue, QueryExpression
from plugins.payment_tables import PaymentStatus
from runner.emulator.seed import currency_id

SHIPPED = Path(__file__).parents[3] / "registrations.yaml"
COMPLETED = OptionSetValue(PaymentStatus.COMPLETED)
UNREACHABLE = 0x80050205


@pytest.fixture
def registrations(world):
    """The shipped file, with everything that speaks to Stripe delivered inline."""
    document = yaml.safe_load(SHIPPED.read_text())
    for step in document["steps"]:
        if step["plugin"].startswith("plugins.payment_intents:"):
            step["delivery"] = "inline"
    file = world.directory / "inline.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


@pytest.fixture
def start(world, registrations):
    """Starts a server that the environment knows of, and finds again."""

    def start(*arguments, **options):
        serve = world.serve(*arguments, port=world.port, registrations=registrations, **options)
        world.run("apply", "--yes", registrations=registrations, RUNNER_PUBLIC_URL=serve.url)
        return serve

    return start


@pytest.fixture
def serve(start):
    return start()


def statuses(world) -> list[str]:
    return [intent["status"] for intent in world.simulator.payment_intents.values()]


def no_rows(world) -> bool:
    return list(world.client.query(QueryExpression.of("new_payment"))) == []


def test_a_payment_gets_its_intent_and_the_money_completes_it(world, serve) -> None:
    payment_id = world.create_payment("19.99")
    intent = world.intent_of(payment_id)
    assert (intent["amount"], intent["metadata"]["CRM_PaymentId"]) == (1999, payment_id)

    world.pay(intent["id"], serve.url)
    world.until(lambda: world.payment(payment_id).get("new_paymentstatus") == COMPLETED)
    assert world.payment(payment_id)["new_amountreceived"] == Money(Decimal("19.99"))
    assert len(world.simulator.payment_intents) == 1
    assert serve.stop() == 0


def test_a_changed_amount_is_at_stripe_when_the_change_is_answered(world, serve) -> None:
    payment_id = world.create_payment("19.99")
    intent = world.intent_of(payment_id)
    world.client.update(Entity("new_payment", payment_id, {"new_amount": Money(Decimal("25.00"))}))
    assert intent["amount"] == 1999
    assert world.simulator.payment_intents[intent["id"]]["amount"] == 2500


def test_a_deleted_payment_leaves_no_intent_anybody_could_pay(world, serve) -> None:
    payment_id = world.create_payment("19.99")
    world.intent_of(payment_id)
    world.client.delete("new_payment", payment_id)
    assert statuses(world) == ["canceled"]


def test_a_sales_order_gets_its_intent(world, serve) -> None:
    usd = EntityReference("transactioncurrency", currency_id("USD"))
    columns = {"name": "Order 7", "totalamount": Money(Decimal("120.00")), "transactioncurrencyid": usd}
    order_id = world.client.create(Entity("salesorder", attributes=columns))
    world.until(lambda: world.client.retrieve("salesorder", order_id).get("new_stripepaymentintentid"))
    [intent] = world.simulator.payment_intents.values()
    assert (intent["amount"], intent["metadata"]["CRM_SalesOrderId"]) == (12000, order_id)


def test_a_veto_reaches_the_caller_in_the_plug_ins_words(world, serve) -> None:
    with pytest.raises(DataverseError, match=r"the minimum is 0\.50 USD") as refused:
        world.create_payment("0.30")
    assert (refused.value.status, refused.value.code) == (400, 0x80050201)
    assert no_rows(world)
    assert statuses(world) == []


def test_a_rollback_after_the_step_leaves_no_intent(world, start, registrations) -> None:
    """Given another synchronous step behind ours, whose endpoint nobody listens at."""
    start("--no-workers")
    world.register_step(world.register_webhook("http://127.0.0.1:9"), "Create", stage=40, mode=0)
    with pytest.raises(DataverseError) as refused:
        world.create_payment("19.99")
    assert (refused.value.status, refused.value.code) == (400, UNREACHABLE)
    assert (no_rows(world), statuses(world)) == (True, ["requires_payment_method"])

    world.work_through(timedelta(minutes=6), registrations)
    assert statuses(world) == ["canceled"]


def test_without_a_server_the_row_is_refused(world, serve) -> None:
    serve.stop()
    with pytest.raises(DataverseError, match="webhook call failed during http post") as refused:
        world.create_payment("19.99")
    assert (refused.value.status, refused.value.code) == (400, UNREACHABLE)
    assert (no_rows(world), statuses(world)) == (True, [])


def test_a_server_killed_after_its_answer_writes_back_in_its_next_life(world, start, registrations) -> None:
    """And not before: without a server the write-back, which sets off a synchronous step, is refused as well."""
    serve = start("--no-workers")
    payment_id = world.create_payment("19.99")
    serve.kill()
    world.work_through(timedelta(0), registrations)
    assert world.payment(payment_id).get("new_stripepaymentintentid") is None

    start()
    assert world.intent_of(payment_id)["amount"] == 1999


class HoldingBack:
    """Stripe does what it is asked, but its first answer does not come before ``released``."""

    def __init__(self, simulator) -> None:
        self._api = simulator.http_client()
        self.reached, self.released = threading.Event(), threading.Event()

    def http_client(self) -> HoldingBack:
        return self

    def request(self, *arguments: Any) -> Any:
        answer = self._api.request(*arguments)
        self.reached.set()
        assert self.released.wait(60)
        return answer


def test_a_server_killed_in_the_middle_takes_the_row_with_it(world, start, registrations) -> None:
    """And the intent it began, although nobody lived to say so."""
    stripe = HoldingBack(world.simulator)
    with served_stripe(stripe) as url, ThreadPoolExecutor(1) as clerk:
        serve = start(STRIPE_API_BASE=url)
        refused: Future[str] = clerk.submit(world.create_payment, "19.99")
        assert stripe.reached.wait(60)
        serve.kill()
        stripe.released.set()
        with pytest.raises(DataverseError) as fault:
            refused.result(60)
    assert (fault.value.status, fault.value.code) == (400, UNREACHABLE)
    assert (no_rows(world), statuses(world)) == (True, ["requires_payment_method"])

    world.work_through(timedelta(0), registrations)
    world.work_through(timedelta(minutes=6), registrations)
    assert statuses(world) == ["canceled"]

    start()
    world.intent_of(world.create_payment("19.99"))
    assert statuses(world) == ["canceled", "requires_payment_method"]
