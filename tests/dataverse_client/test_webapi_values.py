"""Every kind of column value crosses the Web API unharmed, both ways."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataverse_client.errors import InvalidRequestError, UnexpectedResponseError
from dataverse_client.exact_json import dumps, loads
from dataverse_client.exchange import Answer, Request
from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue
from dataverse_client.webapi import decode_entity, encode_entity, row_path

PAYMENT = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"
ACCOUNT = "00a1b2c3-0000-4000-8000-000000000001"
FORMATTED = "@OData.Community.Display.V1.FormattedValue"
LOGICAL_NAME = "@Microsoft.Dynamics.CRM.lookuplogicalname"


def answer(body: bytes) -> Answer:
    return Answer(Request("GET", "new_payments"), 200, {}, body)


@pytest.mark.parametrize(
    ("column", "on_the_wire", "value"),
    [
        ("new_name", "Invoice 7", "Invoice 7"),
        ("new_amount", Decimal("10.00"), Money(Decimal("10.00"))),
        ("new_amount", 10, Money(Decimal(10))),
        ("new_rate", Decimal("0.8500000000"), Decimal("0.8500000000")),
        ("new_attempts", 3, 3),
        ("new_manual", True, True),
        ("new_paidon", "2026-11-22T17:00:00Z", datetime(2026, 11, 22, 17, tzinfo=UTC)),
        ("new_dueon", "2026-11-22", date(2026, 11, 22)),
        ("new_paymentstatus", 100000001, OptionSetValue(100000001)),
        ("new_methods", "1,2", (OptionSetValue(1), OptionSetValue(2))),
    ],
)
def test_a_value_reads_and_writes_as_itself(payment_table, tables, column, on_the_wire, value):
    row = decode_entity({column: on_the_wire}, payment_table)

    assert row[column] == value
    assert encode_entity(row, tables) == {column: on_the_wire}


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4))
def test_money_keeps_every_digit(amount):
    assert str(loads(answer(dumps({"new_amount": amount})))["new_amount"]) == str(amount)


def test_a_lookup_reads_as_a_reference_with_its_name(payment_table):
    row = decode_entity(
        {
            "_new_customerid_value": ACCOUNT.upper(),
            f"_new_customerid_value{LOGICAL_NAME}": "account",
            f"_new_customerid_value{FORMATTED}": "Contoso",
        },
        payment_table,
    )

    assert row["new_customerid"] == EntityReference("account", ACCOUNT)
    assert row["new_customerid"].name == row.formatted_values["new_customerid"] == "Contoso"


def test_a_lookup_with_one_target_needs_no_annotation(payment_table):
    row = decode_entity({"_new_salesorderid_value": ACCOUNT}, payment_table)

    assert row["new_salesorderid"] == EntityReference("salesorder", ACCOUNT)


def test_a_row_has_its_id_version_and_labels_but_no_empty_columns(payment_table):
    row = decode_entity(
        {
            "@odata.etag": 'W/"123"',
            "new_paymentid": PAYMENT.upper(),
            "new_paymentstatus": 1,
            f"new_paymentstatus{FORMATTED}": "Pending",
            "new_name": None,
            "_new_salesorderid_value": None,
        },
        payment_table,
    )

    assert (row.id, row.row_version) == (PAYMENT, 'W/"123"')
    assert row.formatted_values == {"new_paymentstatus": "Pending"}
    assert set(row) == {"new_paymentid", "new_paymentstatus"}


def test_a_value_of_the_wrong_kind_names_its_column(payment_table):
    with pytest.raises(UnexpectedResponseError, match=r"new_payment\.new_amount is a Money column, but came as str"):
        decode_entity({"new_amount": "ten"}, payment_table)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"a":NaN}', b"[" * 100_000], ids=lambda body: body[:9])
def test_a_body_that_is_no_json_object_is_unexpected(body):
    with pytest.raises(UnexpectedResponseError, match="should be a JSON object"):
        loads(answer(body))


def written(tables, column, value):
    return encode_entity(Entity("new_payment", PAYMENT, {column: value}), tables)


def test_a_lookup_is_bound_through_its_navigation_property(tables):
    assert written(tables, "new_salesorderid", EntityReference("salesorder", ACCOUNT)) == {
        "new_SalesOrderId@odata.bind": f"/salesorders({ACCOUNT})"
    }


def test_a_polymorphic_lookup_is_bound_by_its_targets_own_property(tables):
    assert written(tables, "new_customerid", EntityReference("contact", ACCOUNT)) == {
        "new_CustomerId_contact@odata.bind": f"/contacts({ACCOUNT})"
    }


def test_an_owner_is_bound_whatever_kind_it_is(tables):
    assert written(tables, "ownerid", EntityReference("systemuser", ACCOUNT)) == {
        "ownerid@odata.bind": f"/systemusers({ACCOUNT})"
    }


def test_a_lookup_is_bound_by_alternate_key(tables):
    order = EntityReference("salesorder", key_attributes={"ordernumber": "SO'1/2 ä"})

    assert written(tables, "new_salesorderid", order) == {
        "new_SalesOrderId@odata.bind": "/salesorders(ordernumber='SO''1%2F2%20%C3%A4')"
    }


@pytest.mark.parametrize(
    ("column", "property"), [("new_salesorderid", "new_SalesOrderId"), ("new_customerid", "new_CustomerId_account")]
)
def test_an_empty_lookup_is_unbound(tables, column, property):
    assert written(tables, column, None) == {f"{property}@odata.bind": None}


def test_a_moment_of_any_zone_is_written_in_utc(tables):
    moment = datetime(2026, 11, 22, 18, 0, 0, 500_000, tzinfo=timezone(timedelta(hours=1)))

    assert written(tables, "new_paidon", moment) == {"new_paidon": "2026-11-22T17:00:00.500000Z"}


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("new_amount", 19.99, "float is not exact"),
        ("new_amount", Money(Decimal("NaN")), "NaN is not a number"),
        ("new_paidon", datetime(2026, 11, 22), "no time zone"),  # noqa: DTZ001
        ("new_salesorderid", ACCOUNT, "is a lookup: give it an EntityReference, not str"),
        ("new_salesorderid", EntityReference("salesorder", "7"), "'7' is not a GUID"),
        ("new_salesorderid", EntityReference("salesorder"), "neither an id nor an alternate key"),
        ("new_customerid", EntityReference("salesorder", ACCOUNT), "it points at account, contact"),
        ("new_name", EntityReference("account", ACCOUNT), "is not a lookup"),
        ("new_name", {"a": 1}, "dict cannot be written"),
        ("new_name", object(), "object cannot be written"),
        ("new_methods", (1, 2), "tuple cannot be written"),
    ],
)
def test_a_value_that_cannot_be_written_is_refused_by_column(tables, column, value, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        written(tables, column, value)


def test_empty_multi_select_choices_are_cleared(tables):
    assert written(tables, "new_methods", ()) == {"new_methods": None}


def test_a_row_is_addressed_by_several_key_columns(tables):
    key = {"new_name": "a,b=(c)", "new_attempts": 3, "new_salesorderid": EntityReference("salesorder", ACCOUNT)}

    assert row_path(EntityReference("new_payment", key_attributes=key), tables) == (
        f"new_payments(new_name='a,b=(c)',new_attempts=3,_new_salesorderid_value={ACCOUNT})"
    )
