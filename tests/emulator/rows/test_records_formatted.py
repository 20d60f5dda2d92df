"""What a person would read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from dataverse_client.types import Entity, OptionSetValue
from runner.emulator.seed import ADMINISTRATOR_ID


@pytest.mark.behaviour("Rows", "Formatted values read as on a form", "observed")
@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("new_part", 7, "7"),
        ("new_rate", Decimal("1234.5"), "1,234.500"),
        ("new_weight", Decimal("0.5"), "0.50"),
        ("new_day", date(2026, 2, 8), "2/8/2026"),
        ("new_moment", datetime(2026, 2, 8, 0, 5, tzinfo=UTC), "2/8/2026 12:05 AM"),
        ("new_moment", datetime(2026, 2, 8, 13, 30, tzinfo=UTC), "2/8/2026 1:30 PM"),
        ("new_flag", False, "No"),
        ("new_colours", (OptionSetValue(1), OptionSetValue(11)), "Red; Blue"),
    ],
)
def test_a_value_reads_as_on_a_form(samples, column, value, text):
    assert samples.read(samples.create("new_sample", **{column: value})).formatted_values[column] == text


@pytest.mark.behaviour("Rows", "The formatted value of an amount has its currency's symbol and places", "observed")
@pytest.mark.parametrize(
    ("code", "amount", "text"),
    [("USD", "1234.5", "$1,234.50"), ("EUR", "-0.1", "-€0.10"), ("JPY", "500", "¥500"), ("KWD", "5.124", "KD5.124")],
)
def test_money_reads_with_its_currencys_symbol_and_places(crm, currency, money, code, amount, text):
    order = crm.create("salesorder", totalamount=money(amount), transactioncurrencyid=currency(code))
    assert crm.read(order).formatted_values["totalamount"] == text


def test_a_base_value_reads_in_the_base_currency(crm, currency, money):
    order = crm.create("salesorder", totalamount=money("8"), transactioncurrencyid=currency("EUR"))
    assert crm.read(order).formatted_values["totalamount_base"] == "$10.00"


@pytest.mark.behaviour("Rows", "Lookups bring the name of their row", "observed")
def test_lookups_bring_the_name_of_their_row(crm):
    account = crm.create("account", name="Contoso")
    row = crm.read(crm.create("salesorder", customerid=account))
    assert row["customerid"].name == row.formatted_values["customerid"] == "Contoso"
    assert row.formatted_values["ownerid"] == "Ada Administrator"


def test_a_name_that_changed_is_read_anew(crm):
    account = crm.create("account", name="Contoso")
    order = crm.create("salesorder", customerid=account)
    crm.update(account, name="Fabrikam")
    assert crm.read(order)["customerid"].name == "Fabrikam"


def test_states_read_by_their_labels(crm):
    formatted = crm.read(crm.create("salesorder")).formatted_values
    assert (formatted["statecode"], formatted["statuscode"]) == ("Active", "New")


def test_text_and_ids_have_no_formatted_value(crm):
    formatted = crm.read(crm.create("account", name="Contoso")).formatted_values
    assert not {"name", "accountid"} & formatted.keys()


def test_formatting_can_be_left_out(crm):
    row = crm.records.retrieve(crm.create("account", name="Contoso"), formatted=False)
    assert row.formatted_values == {}
    assert row["ownerid"].name is None


def test_a_target_is_formatted_without_naming_its_lookups(crm, money):
    target = Entity("new_payment", None, {"new_amount": money("3")})
    crm.write(crm.records.create, target, ADMINISTRATOR_ID)
    crm.records.format(target)
    assert target.formatted_values["new_amount"] == "$3.0000"
    assert target["ownerid"].name is None


def test_money_brings_its_currency_along(crm, currency, money):
    payment = crm.create("new_payment", new_amount=money("3"))
    assert crm.read(payment, "new_amount")["transactioncurrencyid"] == currency("USD")


def test_an_image_has_exactly_its_columns_and_the_id(crm, money):
    payment = crm.create("new_payment", new_amount=money("3"))
    image = crm.records.image(payment, ["new_amount", "new_name"])
    assert image.keys() == {"new_amount", "new_paymentid"}
    assert image.formatted_values == {"new_amount": "$3.0000"}
