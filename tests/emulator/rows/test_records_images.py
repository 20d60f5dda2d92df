"""The image of a row just created is made from the row in hand: it is what reading the row would give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue
from runner.emulator.errors import AttributeNotFound
from runner.emulator.seed import ADMINISTRATOR_ID, SYSTEM_USER_ID, currency_id

PARENT = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"

COLUMNS = {
    "new_name": st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=5),
    "new_part": st.integers(0, 100),
    "new_rate": st.decimals(-1000, 1000, allow_nan=False),
    "new_price": st.decimals(-(10**9), 10**9, places=6).map(Money),
    "new_weight": st.floats(-1e9, 1e9),
    "new_day": st.dates(datetime(1900, 1, 1, tzinfo=UTC).date()),
    "new_moment": st.datetimes(
        datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the time zone
        datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]),
    ),
    "new_flag": st.booleans(),
    "new_colours": st.lists(st.sampled_from([1, 2, 11]), max_size=3, unique=True).map(
        lambda values: tuple(OptionSetValue(value) for value in values)
    ),
    "new_parentid": st.just(EntityReference("new_sample", PARENT, "Called otherwise")),
    "transactioncurrencyid": st.sampled_from(["EUR", "JPY", "USD"]).map(
        lambda code: EntityReference("transactioncurrency", currency_id(code))
    ),
    "ownerid": st.sampled_from([ADMINISTRATOR_ID, SYSTEM_USER_ID]).map(lambda id: EntityReference("systemuser", id)),
    "overriddencreatedon": st.just(datetime(2001, 2, 3, 4, 5, 6, 7, tzinfo=UTC)),
}

requests = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in COLUMNS.items()})


@pytest.fixture
def parent(samples):
    samples.write(samples.records.create, Entity("new_sample", PARENT, {"new_name": "Parent"}), ADMINISTRATOR_ID)
    return samples


def told(image):
    """Everything an image says, in the spelling it says it in."""
    names = {name: value.name for name, value in image.items() if isinstance(value, EntityReference)}
    return image.id, image.row_version, repr(sorted(image.items())), names, image.formatted_values


def created(crm, columns):
    row = Entity("new_sample", None, {name: value for name, value in columns.items() if name != "ownerid" or value})
    crm.write(crm.records.create, row, ADMINISTRATOR_ID)
    return row


@given(columns=requests)
@example(columns={"new_weight": -0.0})
def test_an_image_of_all_columns_is_what_reading_gives(parent, columns):
    row = created(parent, columns)
    assert told(parent.records.image_of_new(row)) == told(parent.records.image(row.to_entity_reference()))


@given(columns=requests, asked=st.sets(st.sampled_from([*COLUMNS, "versionnumber", "owninguser"]), min_size=1))
def test_an_image_of_some_columns_is_what_reading_them_gives(parent, columns, asked):
    row = created(parent, columns)
    asked = tuple(sorted(asked))
    read = parent.records.image(row.to_entity_reference(), asked)
    assert told(parent.records.image_of_new(row, asked)) == told(read)


def test_a_new_name_of_the_owner_shows_in_the_next_image(samples):
    before = samples.records.image_of_new(created(samples, {}))
    renamed = Entity("systemuser", ADMINISTRATOR_ID, {"firstname": "Ada", "lastname": "Lovelace"})
    samples.write(samples.records.update, renamed, ADMINISTRATOR_ID)
    after = samples.records.image_of_new(created(samples, {}))
    assert [image["ownerid"].name == "Ada Lovelace" for image in (before, after)] == [False, True]
    assert after.formatted_values["owninguser"] == "Ada Lovelace"


def test_a_customer_is_read_with_its_table(crm):
    account = crm.create("account", name="Contoso")
    row = Entity("new_payment", None, {"new_name": "Invoice", "new_amount": Money(Decimal("1.5"))})
    row["new_customerid"] = account
    crm.write(crm.records.create, row, ADMINISTRATOR_ID)
    assert told(crm.records.image_of_new(row)) == told(crm.records.image(row.to_entity_reference()))


def test_a_column_nobody_knows_is_refused(samples):
    row = created(samples, {})
    with pytest.raises(AttributeNotFound, match="new_nmae"):
        samples.records.image_of_new(row, ("new_nmae",))
