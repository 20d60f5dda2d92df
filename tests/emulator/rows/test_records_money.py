"""Money: currency, exchange rate, places and the value in the base currency."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dataverse_client.types import EntityReference
from runner.emulator.errors import IncorrectAttributeValueType, InvalidArgument, ObjectDoesNotExist
from runner.emulator.seed import ADMINISTRATOR_ID, ORGANIZATION_ID


@pytest.mark.behaviour(
    "Rows", "A row with an amount and no currency gets the default currency", "transaction-currency-currency-entity"
)
def test_a_row_without_currency_gets_the_base_currency(crm, currency, money):
    row = crm.read(crm.create("new_payment", new_amount=money("10")))
    assert row["transactioncurrencyid"] == currency("USD")
    assert (row["exchangerate"], row["new_amount_base"]) == (1, money("10"))


@pytest.mark.behaviour("Rows", "A user's own default currency comes first", "transaction-currency-currency-entity")
def test_a_user_may_have_a_currency_of_their_own(crm, currency, money):
    crm.update(EntityReference("systemuser", ADMINISTRATOR_ID), transactioncurrencyid=currency("EUR"))
    row = crm.read(crm.create("new_payment", new_amount=money("10")))
    assert row["transactioncurrencyid"] == currency("EUR")


@pytest.mark.behaviour(
    "Rows", "A `_base` amount is the amount divided by the exchange rate", "transaction-currency-currency-entity"
)
def test_the_base_value_is_the_amount_divided_by_the_rate(crm, currency, money):
    row = crm.read(crm.create("new_payment", new_amount=money("10"), transactioncurrencyid=currency("EUR")))
    assert (row["exchangerate"], row["new_amount_base"]) == (Decimal("0.8"), money("12.5"))


def test_the_base_value_has_the_places_of_the_base_currency(crm, currency, money):
    row = crm.read(crm.create("salesorder", totalamount=money("1000"), transactioncurrencyid=currency("JPY")))
    assert row["totalamount_base"] == money("6.67")


@pytest.mark.behaviour(
    "Rows", "An amount has the places its column or currency says", "transaction-currency-currency-entity"
)
@pytest.mark.parametrize(
    ("code", "given", "kept"),
    [("USD", "1.005", "1.01"), ("USD", "-1.005", "-1.01"), ("JPY", "99.5", "100"), ("KWD", "1.2345", "1.235")],
)
def test_a_pricing_column_has_the_places_of_its_currency(crm, currency, money, code, given, kept):
    order = crm.create("salesorder", totalamount=money(given), transactioncurrencyid=currency(code))
    assert crm.read(order)["totalamount"] == money(kept)


@pytest.mark.parametrize(("places", "kept"), [(0, "1"), (2, "1.23"), (4, "1.2346")])
def test_a_column_may_have_the_places_of_the_organizations_pricing(samples, currency, money, places, kept):
    """Whatever the currency has: of KWD it is three."""
    samples.update(EntityReference("organization", ORGANIZATION_ID), pricingdecimalprecision=places)
    sample = samples.create("new_sample", new_cost=money("1.23456"), transactioncurrencyid=currency("KWD"))
    assert samples.read(sample)["new_cost"] == money(kept)


@pytest.mark.parametrize("code", ["JPY", "USD", "KWD"])
def test_a_payments_amount_has_four_places_in_every_currency(crm, currency, money, code):
    payment = crm.create("new_payment", new_amount=money("5.1241"), transactioncurrencyid=currency(code))
    assert crm.read(payment)["new_amount"] == money("5.1241")


def test_a_new_amount_gets_a_new_base_value(crm, currency, money):
    payment = crm.create("new_payment", new_amount=money("10"), transactioncurrencyid=currency("EUR"))
    target = crm.update(payment, new_amount=money("20"))
    assert target["new_amount_base"] == crm.read(payment)["new_amount_base"] == money("25")


@pytest.mark.behaviour(
    "Rows",
    "A new currency brings its rate and new `_base` amounts for the whole row",
    "transaction-currency-currency-entity",
)
def test_a_new_currency_reprices_every_amount_of_the_row(crm, currency, money):
    payment = crm.create("new_payment", new_amount=money("10"), new_amountreceived=money("4"))
    crm.update(payment, transactioncurrencyid=currency("EUR"))
    row = crm.read(payment)
    assert (row["new_amount_base"], row["new_amountreceived_base"]) == (money("12.5"), money("5"))


@pytest.mark.behaviour("Rows", "A row that holds amounts keeps a currency", "reference/web-service-error-codes")
def test_the_currency_of_amounts_cannot_be_cleared(crm, currency, money):
    payment = crm.create("new_payment", new_amount=money("10"), transactioncurrencyid=currency("EUR"))
    with pytest.raises(InvalidArgument, match="The currency cannot be null"):
        crm.update(payment, transactioncurrencyid=None)
    crm.update(payment, transactioncurrencyid=None, new_amount=None)
    assert "transactioncurrencyid" not in crm.read(payment)


@pytest.mark.behaviour(
    "Rows", "A new exchange rate counts for a row when its money changes next", "transaction-currency-currency-entity"
)
def test_a_new_rate_reprices_a_row_when_its_money_changes_next(crm, currency, money):
    payment = crm.create("new_payment", new_amount=money("10"), transactioncurrencyid=currency("EUR"))
    crm.update(currency("EUR"), exchangerate=Decimal("0.5"))
    assert crm.read(payment)["new_amount_base"] == money("12.5")
    crm.update(payment, new_amountreceived=money("1"))
    row = crm.read(payment)
    assert (row["exchangerate"], row["new_amount_base"], row["new_amountreceived_base"]) == (
        Decimal("0.5"),
        money("20"),
        money("2"),
    )


def test_an_amount_cleared_clears_its_base_value(crm, money):
    payment = crm.create("new_payment", new_amount=money("10"))
    crm.update(payment, new_amount=None)
    assert "new_amount_base" not in crm.read(payment)


def test_other_changes_leave_the_money_alone(crm, money):
    payment = crm.create("new_payment", new_amount=money("10"))
    assert "exchangerate" not in crm.update(payment, new_name="Invoice 8")


@pytest.mark.behaviour("Rows", "The exchange rate of the base currency cannot be modified", "common")
def test_the_base_currency_is_worth_one_of_itself(crm, currency):
    with pytest.raises(InvalidArgument, match="base currency"):
        crm.update(currency("USD"), exchangerate=Decimal(2))
    crm.update(currency("USD"), exchangerate=Decimal(1), currencysymbol="US$")
    crm.update(currency("EUR"), exchangerate=Decimal(2))


def test_a_currency_is_a_row_of_its_table(crm, currency):
    euro = EntityReference("account", currency("EUR").id)
    with pytest.raises(InvalidArgument, match="'transactioncurrencyid'.*not to 'account'"):  # noqa: RUF043
        crm.create("new_payment", transactioncurrencyid=euro)


def test_a_currency_must_be_there(crm):
    with pytest.raises(ObjectDoesNotExist, match="transactioncurrency"):
        crm.create("new_payment", transactioncurrencyid=EntityReference("transactioncurrency", ADMINISTRATOR_ID))


@pytest.mark.parametrize("amount", [10, 10.5, Decimal(10), "10"], ids=repr)
def test_an_amount_is_money_and_nothing_else(crm, amount):
    with pytest.raises(IncorrectAttributeValueType, match="new_amount"):
        crm.create("new_payment", new_amount=amount)
