"""An order paid by several: its own intent, and the Payments linked to it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataverse_client.types import EntityReference
from plugins.order_payments import Part, roll_up
from plugins.payment_tables import PaymentStatus
from runner.emulator.plugin_faults import IsvAborted

COMPLETED, PENDING, FAILED = PaymentStatus.COMPLETED, PaymentStatus.PENDING, PaymentStatus.FAILED
CANCELED, DISPUTED = PaymentStatus.CANCELED, PaymentStatus.DISPUTED


@pytest.fixture
def order_id(shop) -> str:
    return shop.create_order("100.00")


@pytest.fixture
def pay_towards(shop, order_id):
    """Links a new Payment to the order."""
    return lambda amount, **columns: shop.create_payment(
        amount, new_salesorderid=EntityReference("salesorder", order_id), **columns
    )


def own_intent(shop, order_id) -> tuple[str, int]:
    intent = shop.intent_of(shop.order(order_id))
    return intent["status"], intent["amount"]


def paid_so_far(shop, order_id) -> Decimal:
    received = shop.order(order_id).get("new_amountreceived")
    return received.value if received else Decimal(0)


# --- what the order shows ----------------------------------------------------------------------------------


def test_money_on_a_linked_payment_shows_on_the_order(shop, order_id, pay_towards) -> None:
    shop.money_arrives(pay_towards("40.00"), "40.00")
    assert paid_so_far(shop, order_id) == 40
    assert shop.status("salesorder", order_id) == "PENDING"


def test_an_order_whose_payments_cover_it_is_completed(shop, order_id, pay_towards) -> None:
    for amount in ("40.00", "60.00"):
        shop.money_arrives(pay_towards(amount), amount)
    assert paid_so_far(shop, order_id) == 100
    assert shop.status("salesorder", order_id) == "COMPLETED"


def test_refunds_of_payments_show_on_the_order(shop, order_id, pay_towards) -> None:
    payment_id = pay_towards("100.00")
    shop.money_arrives(payment_id, "100.00")
    refunded = {"new_amountrefunded": shop.usd("30"), "new_paymentstatus": shop.choice("PARTIALLY_REFUNDED")}
    shop.bridge_writes("new_payment", payment_id, **refunded)
    assert shop.order(order_id)["new_amountrefunded"].value == 30
    assert shop.status("salesorder", order_id) == "PARTIALLY_REFUNDED"


def test_a_payment_that_moves_takes_its_money_along(shop, order_id, pay_towards) -> None:
    payment_id, other_order_id = pay_towards("40.00"), shop.create_order("40.00")
    shop.money_arrives(payment_id, "40.00")
    shop.link(payment_id, other_order_id)
    assert (paid_so_far(shop, order_id), paid_so_far(shop, other_order_id)) == (0, 40)
    assert shop.status("salesorder", other_order_id) == "COMPLETED"


def test_a_payment_that_is_deleted_leaves_the_order(shop, order_id, pay_towards) -> None:
    payment_id = pay_towards("40.00")
    assert own_intent(shop, order_id)[1] == 6000
    shop.service.delete("new_payment", payment_id)
    assert own_intent(shop, order_id) == ("requires_payment_method", 10000)


def test_what_its_own_intent_brought_and_what_payments_brought_add_up(shop, order_id, pay_towards) -> None:
    own = {"new_ownpaymentstatus": shop.choice("COMPLETED"), "new_ownamountreceived": shop.usd("60.00")}
    payment_id = pay_towards("40.00")
    shop.bridge_writes("salesorder", order_id, **own)
    assert (paid_so_far(shop, order_id), shop.status("salesorder", order_id)) == (60, "PENDING")
    shop.money_arrives(payment_id, "40.00")
    assert (paid_so_far(shop, order_id), shop.status("salesorder", order_id)) == (100, "COMPLETED")


def test_an_order_alone_shows_what_its_own_intent_brought(shop, order_id) -> None:
    own = {"new_ownpaymentstatus": shop.choice("FAILED")}
    shop.bridge_writes("salesorder", order_id, **own)
    assert shop.status("salesorder", order_id) == "FAILED"


def test_a_payment_in_another_currency_than_its_order_is_refused(shop, order_id) -> None:
    with pytest.raises(IsvAborted, match="another currency than its order"):
        shop.create_payment("40.00", "EUR", new_salesorderid=EntityReference("salesorder", order_id))
    assert shop.live_intents() == [shop.intent_of(shop.order(order_id))]


# --- what is collected -------------------------------------------------------------------------------------


def test_the_orders_own_intent_collects_only_what_payments_do_not(shop, order_id, pay_towards) -> None:
    pay_towards("40.00")
    assert own_intent(shop, order_id) == ("requires_payment_method", 6000)


def test_the_orders_own_intent_is_canceled_when_payments_collect_everything(shop, order_id, pay_towards) -> None:
    pay_towards("40.00")
    pay_towards("60.00")
    assert own_intent(shop, order_id)[0] == "canceled"


def test_a_remainder_too_small_to_charge_is_left_to_the_payments(shop, order_id, pay_towards) -> None:
    pay_towards("99.80")
    assert own_intent(shop, order_id)[0] == "canceled"


def test_a_canceled_payment_gives_its_part_back(shop, order_id, pay_towards) -> None:
    payment_id = pay_towards("40.00")
    shop.set_status("new_payment", payment_id, "CANCELED")
    assert own_intent(shop, order_id) == ("requires_payment_method", 10000)


def test_a_new_total_leaves_out_what_payments_collect(shop, order_id, pay_towards) -> None:
    pay_towards("40.00")
    shop.set_total(order_id, "150.00")
    assert own_intent(shop, order_id) == ("requires_payment_method", 11000)


def test_a_new_intent_does_not_stand_for_what_became_of_the_canceled_one(shop, order_id, pay_towards) -> None:
    shop.set_status("salesorder", order_id, "CANCELED")
    shop.bridge_writes("salesorder", order_id, new_ownpaymentstatus=shop.choice("CANCELED"))
    shop.set_total(order_id, "120.00")
    payment_id = pay_towards("20.00")
    shop.set_status("new_payment", payment_id, "CANCELED")
    assert shop.status("salesorder", order_id) == "PENDING"
    assert own_intent(shop, order_id) == ("requires_payment_method", 12000)


def test_an_order_without_an_intent_gets_none_from_its_payments(shop) -> None:
    order_id = shop.create_order(None)
    shop.create_payment("40.00", new_salesorderid=EntityReference("salesorder", order_id))
    assert shop.order(order_id).get("new_stripepaymentintentid") is None


def test_money_that_arrives_makes_no_call_to_stripe(shop, order_id, pay_towards) -> None:
    payment_id = pay_towards("40.00")
    before = shop.calls()
    shop.money_arrives(payment_id, "40.00")
    shop.bridge_writes("salesorder", order_id, new_ownpaymentstatus=shop.choice("COMPLETED"))
    assert shop.calls() == before


def test_a_payment_without_an_order_concerns_none(shop, order_id) -> None:
    before = shop.order(order_id)
    shop.money_arrives(shop.create_payment("40.00"), "40.00")
    assert shop.order(order_id) == before


# --- the rule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([Part(COMPLETED, Decimal(100))], COMPLETED),
        ([Part(COMPLETED, Decimal(40)), Part(PENDING)], PENDING),
        ([Part(COMPLETED, Decimal(40)), Part(FAILED)], FAILED),
        ([Part(COMPLETED, Decimal(40)), Part(CANCELED)], PENDING),
        ([Part(COMPLETED, Decimal(40)), Part(COMPLETED, Decimal(60)), Part(FAILED)], COMPLETED),
        ([Part(DISPUTED, Decimal(40)), Part(COMPLETED, Decimal(60))], DISPUTED),
        ([Part(COMPLETED, Decimal(60)), Part(COMPLETED, Decimal(40), Decimal(40))], PaymentStatus.PARTIALLY_REFUNDED),
        ([Part(CANCELED), Part(CANCELED)], CANCELED),
        ([Part(CANCELED), Part(PENDING)], PENDING),
    ],
)
def test_an_order_shows_what_most_needs_a_person(parts, status) -> None:
    assert roll_up(Decimal(100), parts).status is status


parts_of_any_kind = st.lists(
    st.builds(
        Part,
        st.sampled_from(PaymentStatus),
        st.decimals(0, 100, places=2),
        st.decimals(0, 100, places=2),
    ),
    min_size=1,
    max_size=5,
)


@given(parts_of_any_kind, st.randoms())
def test_the_order_of_the_parts_does_not_matter(parts, random) -> None:
    shuffled = random.sample(parts, len(parts))
    assert roll_up(Decimal(100), parts) == roll_up(Decimal(100), shuffled)
