"""Values in and out of columns: kept exactly, or refused in words that name the column."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataverse_client.types import EntityReference, Money, OptionSetValue
from runner.emulator.errors import (
    AttributeNotFound,
    EntityNotFound,
    IncorrectAttributeValueType,
    InvalidArgument,
    ObjectDoesNotExist,
    StringLengthTooLong,
    ValueOutOfRange,
)
from runner.emulator.metadata.load import load_metadata
from runner.emulator.storage.values import codec

MOMENT = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
AMOUNT = codec("new_payment", load_metadata().tables["new_payment"].columns["new_amount"])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("new_name", "Žluťoučký"),
        ("new_part", 0),
        ("new_part", 100),
        ("new_rate", Decimal("-12.345")),
        ("new_weight", Decimal("0.1")),
        ("new_day", date(2026, 2, 28)),
        ("new_moment", MOMENT),
        ("new_flag", False),
        ("new_colours", (OptionSetValue(11), OptionSetValue(1))),
    ],
)
def test_a_value_comes_back_as_it_went_in(samples, column, value):
    row = samples.create("new_sample", **{column: value})
    assert samples.read(row, column)[column] == value


@given(st.decimals(min_value=-(10**14), max_value=10**14, places=4))
def test_money_of_four_places_is_kept_exactly(amount):
    assert AMOUNT.decode(AMOUNT.encode(Money(amount))).value == amount


@pytest.mark.parametrize(
    ("column", "value", "kept"),
    [
        ("new_name", "", None),
        ("new_colours", (), None),
        ("new_rate", Decimal("1.0005"), Decimal("1.001")),
        ("new_rate", Decimal("-1.0005"), Decimal("-1.001")),
        ("new_rate", 7, Decimal(7)),
        ("new_day", MOMENT, date(2026, 2, 28)),
        ("new_moment", MOMENT.replace(microsecond=999_999), MOMENT),
        ("new_moment", MOMENT.astimezone(timezone(timedelta(hours=9))), MOMENT),
    ],
    ids=["empty text", "no choice", "rounded up", "rounded down", "whole number", "day", "fraction", "time zone"],
)
def test_a_value_is_kept_as_dataverse_keeps_it(samples, column, value, kept):
    row = samples.create("new_sample", **{column: value})
    assert samples.read(row, column).get(column) == kept


@pytest.mark.behaviour(
    "Rows",
    "A value of another type than its column's is refused with 0x80044354 or its kin",
    "reference/web-service-error-codes",
)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("new_name", 7),
        ("new_part", "7"),
        ("new_part", True),
        ("new_rate", "1.5"),
        ("new_price", Decimal(1)),
        ("new_weight", True),
        ("new_day", "2026-02-28"),
        ("new_moment", datetime(2026, 2, 28)),  # noqa: DTZ001 - naive on purpose
        ("new_flag", 1),
        ("new_colours", OptionSetValue(1)),
        ("new_colours", (1,)),
        ("new_parentid", "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(samples, column, value):
    with pytest.raises(IncorrectAttributeValueType, match=column) as fault:
        samples.create("new_sample", **{column: value})
    assert (fault.value.code, fault.value.http_status) == (0x80044354, 400)


@pytest.mark.behaviour(
    "Rows", "A number or date out of its column's range is refused", "reference/web-service-error-codes"
)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("new_part", -1),
        ("new_part", 101),
        ("new_rate", Decimal("1e12")),
        ("new_rate", Decimal("NaN")),
        ("new_rate", Decimal("1e999999")),
        ("new_price", Money(Decimal("922337203685478"))),
        ("new_price", Money(Decimal("Infinity"))),
        ("new_weight", 10**400),
        ("new_day", date(1752, 12, 31)),
        ("new_moment", datetime(1752, 12, 31, tzinfo=UTC)),
        ("new_moment", datetime(1753, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        ("new_moment", datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))),
        ("new_colours", (OptionSetValue(3),)),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(samples, column, value):
    with pytest.raises(ValueOutOfRange, match=column) as fault:
        samples.create("new_sample", **{column: value})
    assert (fault.value.code, fault.value.http_status) == (0x80044330, 400)


@pytest.mark.behaviour("Rows", "A choice that does not exist is refused, and those that do are named", "common")
def test_a_choice_that_is_none_is_refused_with_those_there_are(crm):
    with pytest.raises(ValueOutOfRange, match="100000099.*Accepted Values: 100000000,100000001") as fault:  # noqa: RUF043
        crm.create("new_payment", new_paymentstatus=OptionSetValue(100000099))
    assert "new_paymentstatus" in fault.value.message


@pytest.mark.behaviour(
    "Rows", "A text longer than its column is refused with 0x80044331", "reference/web-service-error-codes"
)
def test_a_text_may_be_as_long_as_its_column_and_no_longer(samples):
    samples.create("new_sample", new_name="x" * 10)
    with pytest.raises(StringLengthTooLong, match="'new_name'.*'new_sample'.*'10'") as fault:  # noqa: RUF043
        samples.create("new_sample", new_name="x" * 11)
    assert fault.value.code == 0x80044331


@pytest.mark.behaviour(
    "Rows",
    "A character beyond the first 65,536, such as an emoji, counts twice in the length of a text",
    "common",
)
def test_lengths_are_counted_as_in_utf_16(samples):
    samples.create("new_sample", new_name="\U0001f600" * 5)
    with pytest.raises(StringLengthTooLong):
        samples.create("new_sample", new_name="\U0001f600" * 5 + "x")


@pytest.mark.behaviour("Rows", "A column nobody knows is refused with 0x80041103", "reference/web-service-error-codes")
def test_a_column_nobody_knows_is_refused_by_name(crm):
    with pytest.raises(AttributeNotFound, match="'account'.*'new_nmae'"):  # noqa: RUF043
        crm.create("account", new_nmae="Contoso")
    with pytest.raises(AttributeNotFound, match="new_nmae"):
        crm.update(crm.create("account"), new_nmae="Contoso")


def test_the_column_that_may_be_meant_is_named(crm):
    with pytest.raises(AttributeNotFound, match="Did you mean 'numberofemployees'"):
        crm.create("account", numberofemployes=7)


def test_a_choice_of_a_text_is_of_the_wrong_type(crm):
    with pytest.raises(IncorrectAttributeValueType, match=r"type str for 'customertypecode'.*number"):
        crm.create("account", customertypecode=OptionSetValue("3"))


@pytest.mark.parametrize(
    ("column", "value", "advice"),
    [
        ("revenue", 19.99, "not exact: use Decimal"),
        ("overriddencreatedon", datetime(2026, 1, 1), "no time zone: add tzinfo=UTC"),  # noqa: DTZ001 - the mistake
    ],
)
def test_mistakes_python_makes_easy_come_with_advice(crm, column, value, advice):
    with pytest.raises(IncorrectAttributeValueType, match=advice):
        crm.create("account", **{column: value})


def test_a_table_nobody_knows_is_refused_by_name(crm):
    with pytest.raises(EntityNotFound, match="new_acount"):
        crm.create("new_acount", name="Contoso")


@pytest.mark.behaviour("Rows", "A lookup must refer to a row that is there: 0x80040217", "common")
def test_a_lookup_must_refer_to_a_row_that_is_there(crm):
    nobody = EntityReference("account", "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11")
    with pytest.raises(ObjectDoesNotExist, match="account With Id = 6f1b8c1e") as fault:
        crm.create("new_payment", new_customerid=nobody)
    assert (fault.value.code, fault.value.http_status) == (0x80040217, 404)


@pytest.mark.behaviour("Rows", "A lookup must refer to one of its tables", "common")
def test_a_lookup_must_refer_to_one_of_its_tables(crm, currency):
    with pytest.raises(InvalidArgument, match="new_customerid.*account or contact.*transactioncurrency"):  # noqa: RUF043
        crm.create("new_payment", new_customerid=currency("EUR"))


def test_a_customer_keeps_which_table_it_is_of(crm):
    contact = crm.create("contact", lastname="Byron")
    row = crm.read(crm.create("new_payment", new_customerid=contact))
    assert (row["new_customerid"], row["new_customerid"].name) == (contact, "Byron")


def test_a_lookup_can_be_cleared(crm):
    account = crm.create("account")
    payment = crm.create("new_payment", new_customerid=account)
    crm.update(payment, new_customerid=None)
    assert "new_customerid" not in crm.read(payment)
