"""A Checkout page gives way to another; what is still told of the former one is not about the new one."""

from __future__ import annotations

from itertools import permutations

import pytest

from dataverse_client.types import Entity, OptionSetValue
from plugins.payment_intents import CreatePaymentIntent, UpdatePaymentIntent
from plugins.payment_tables import PaymentStatus
from runner.execution.step import Image, Step
from runner.plugin import Plugin, PluginContext

PAGES = "collect: checkout\n      success_url: https://shop.example.com/thanks"


@pytest.fixture
def registrations(registrations_file, tmp_path):
    file = tmp_path / "registrations.yaml"
    file.write_text(registrations_file.read_text().replace("collect: intent", PAGES))
    return file


@pytest.fixture
def payment_id(crm) -> str:
    return crm.create("new_payment", name="Invoice 7", amount="49.90")


@pytest.fixture
def refused_debit(crm, stripe_simulator, payment_id):
    """The page was completed with a bank debit, which the bank refused. Returns the debit's intent."""
    stripe_simulator.pay(page_of(crm, payment_id), "pm_usBankAccount_success")
    (intent_id,) = stripe_simulator.payment_intents
    stripe_simulator.settle(intent_id, succeed=False)
    return intent_id


def page_of(crm, payment_id) -> str:
    return crm.retrieve("new_payment", payment_id)["new_stripecheckoutsessionid"]


def status(crm, payment_id) -> str:
    return crm.retrieve("new_payment", payment_id).formatted_values["new_paymentstatus"]


def told(stripe_simulator, *types: str):
    return [event for event in stripe_simulator.events if event["type"] in types]


NEWS_OF_THE_DEBIT = (
    "payment_intent.processing",
    "checkout.session.completed",
    "payment_intent.payment_failed",
    "checkout.session.async_payment_failed",
)


@pytest.mark.parametrize("before", [0, 2, 4])
@pytest.mark.parametrize("order", [*permutations(NEWS_OF_THE_DEBIT)][::7], ids=lambda order: order[0])
def test_news_of_a_refused_debit_never_reaches_the_page_that_replaced_it(
    crm, stripe_simulator, bridge, payment_id, refused_debit, order, before
):
    """Whether the row heard of it before the amount changed, afterwards, or both."""
    events = [event for each in order for event in told(stripe_simulator, each)]
    bridge.deliver(events[:before])
    crm.update("new_payment", payment_id, amount="60.00")

    bridge.deliver(events, twice=True)

    assert status(crm, payment_id) == "Pending"
    row = crm.retrieve("new_payment", payment_id)
    assert (row.get("new_failurecode"), row.get("new_stripepaymentintentid")) == (None, None)
    assert bridge.dead_letters == []


def test_the_new_page_is_paid_in_spite_of_late_news(crm, stripe_simulator, bridge, payment_id, refused_debit):
    crm.update("new_payment", payment_id, amount="60.00")
    stripe_simulator.pay(page_of(crm, payment_id))
    bridge.deliver(twice=True, shuffle=3)
    row = crm.retrieve("new_payment", payment_id)
    assert status(crm, payment_id) == "Completed"
    assert row["new_amountreceived"].value == 60
    assert row["new_stripepaymentintentid"] != refused_debit
    assert bridge.dead_letters == []


@pytest.mark.parametrize("shuffle", range(2))
@pytest.mark.parametrize("paid_too", [False, True], ids=["the new page waits", "the new page is paid"])
def test_money_on_the_former_intent_after_all_is_for_a_person(
    crm, stripe_simulator, bridge, payment_id, refused_debit, paid_too, shuffle
):
    """The refused intent can still be confirmed with another card: by the clerk, in the Dashboard."""
    crm.update("new_payment", payment_id, amount="60.00")
    if paid_too:
        stripe_simulator.pay(page_of(crm, payment_id))
    stripe_simulator.pay(refused_debit)

    bridge.deliver(twice=True, shuffle=shuffle)

    assert status(crm, payment_id) == ("Completed" if paid_too else "Pending")
    letters = bridge.dead_letters
    assert {letter.dead_letter_reason for letter in letters} == {"AnotherIntentPaid"}
    assert all(refused_debit in letter.dead_letter_description for letter in letters)


def test_a_row_given_its_former_intent_takes_its_money(crm, stripe_simulator, bridge, payment_id, refused_debit):
    """What a person does who decides that the former payment is the one that counts."""
    crm.update("new_payment", payment_id, amount="60.00")
    stripe_simulator.pay(refused_debit)
    bridge.deliver()
    columns = {"new_stripepaymentintentid": refused_debit, "new_stripecheckoutsessionid": None}
    crm.update("new_payment", payment_id, columns)

    bridge.queue.resubmit(*(letter.sequence_number for letter in bridge.dead_letters))
    bridge.drain()

    assert status(crm, payment_id) == "Completed"


def test_three_pages_one_after_the_other_hear_nothing_of_each_other(crm, stripe_simulator, bridge, payment_id):
    for amount in ("60.00", "70.00"):
        stripe_simulator.pay(page_of(crm, payment_id), "pm_card_visa_chargeDeclined")
        crm.update("new_payment", payment_id, amount=amount)
    bridge.deliver(shuffle=1)
    assert status(crm, payment_id) == "Pending"
    assert crm.retrieve("new_payment", payment_id).get("new_stripepaymentintentid") is None


def test_an_intent_that_gave_way_to_a_page_is_not_heard_of_again(crm, stripe_simulator, bridge, payment_id):
    intent = stripe_simulator.client().v1.payment_intents.create(
        {"amount": 4990, "currency": "usd", "metadata": {"CRM_PaymentId": payment_id}}
    )
    columns = {"new_stripepaymentintentid": intent.id, "new_stripecheckoutsessionid": None}
    crm.update("new_payment", payment_id, columns)
    stripe_simulator.pay(intent.id, "pm_card_visa_chargeDeclined")
    crm.update("new_payment", payment_id, amount="60.00")

    bridge.deliver(shuffle=2)

    assert status(crm, payment_id) == "Pending"


class TheBridgeWasFaster(Plugin):
    """Writes what became of the former page, after the row was read and before it is given its new page."""

    def execute(self, context: PluginContext) -> None:
        if context.depth == 1:
            own = "new_ownpaymentstatus" if context.primary_entity_name == "salesorder" else "new_paymentstatus"
            told = {own: OptionSetValue(PaymentStatus.CANCELED), "new_stripepaymentintentid": "pi_former"}
            row = Entity(context.primary_entity_name, context.primary_entity_id, {**told, "new_stripeledger": "{}"})
            context.organization.update(row)


@pytest.mark.parametrize(("table", "amount"), [("new_payment", "new_amount"), ("salesorder", "totalamount")])
def test_a_page_waits_even_if_its_row_hears_of_the_former_one_while_it_turns(open_shop, table, amount):
    """Stripe tells at once that the former page has expired; the row's transaction takes a little longer."""
    pages = {"collect": "checkout", "success_url": "https://shop.example.com/thanks"}
    about = {"message": "Update", "entity": table, "stage": 20}
    shop = open_shop(
        Step(plugin=CreatePaymentIntent(pages), message="Create", entity=table, stage=20),
        Step(plugin=TheBridgeWasFaster(), rank=1, **about),
        Step(plugin=UpdatePaymentIntent(pages), rank=2, images=(Image("before"),), **about),
    )
    row_id = shop.create_payment("49.90") if table == "new_payment" else shop.create_order("49.90")

    shop.update(table, row_id, **{amount: shop.usd("60.00")})

    row = shop.row(table, row_id)
    assert shop.session_of(row).amount_total == 6000
    assert shop.status(table, row_id) == "PENDING"
    assert (row.get("new_ownpaymentstatus"), row.get("new_stripepaymentintentid")) == (None, None)
