"""What the platform sets on a row by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dataverse_client.types import Entity, EntityReference, OptionSetValue, is_guid
from runner.emulator.errors import (
    IncorrectAttributeValueType,
    InvalidArgument,
    InvalidStateCodeStatusCode,
    ObjectDoesNotExist,
)
from runner.emulator.seed import ADMINISTRATOR_ID, ORGANIZATION_ID, ROOT_BUSINESS_UNIT_ID, SYSTEM_USER_ID

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ADMINISTRATOR = EntityReference("systemuser", ADMINISTRATOR_ID)


@pytest.mark.behaviour("Rows", "A new row gets an id and the default values of its choices before stage 20", "observed")
def test_before_stage_20_a_target_has_an_id_and_default_choices_and_nothing_more(crm):
    target = Entity("new_payment", None, {"new_name": "Invoice 7"})
    crm.records.add_defaults(target)
    assert is_guid(target.id)
    assert target.attributes == {
        "new_name": "Invoice 7",
        "new_paymentid": target.id,
        "new_paymentstatus": OptionSetValue(100000000),
    }


def test_after_stage_30_a_target_has_what_the_platform_set(crm, money):
    target = Entity("new_payment", None, {"new_amount": money("12.5")})
    crm.write(crm.records.create, target, ADMINISTRATOR_ID)
    assert target["createdon"] == target["modifiedon"] == NOON
    assert target["createdby"] == target["modifiedby"] == target["ownerid"] == ADMINISTRATOR
    assert target["modifiedonbehalfby"] is None
    assert target["owningbusinessunit"].id == ROOT_BUSINESS_UNIT_ID
    assert (target["statecode"], target["statuscode"]) == (OptionSetValue(0), OptionSetValue(1))
    assert target["new_amount_base"] == money("12.5")


def test_an_id_given_is_kept_in_lower_case(crm):
    id = "6F1B8C1E-7A54-4D59-9F0C-2D1F4C1A7B11"
    assert crm.create("account", id, name="Contoso").id == id.lower()


def test_an_id_that_is_no_guid_is_refused(crm):
    with pytest.raises(InvalidArgument, match="'x' is not a GUID"):
        crm.create("account", "x")


@pytest.mark.behaviour(
    "Rows", "A column that only the platform writes has its default from stage 30 on, whatever is sent", "common"
)
def test_a_default_of_the_platform_cannot_be_replaced(crm):
    account = crm.create("account", name="Contoso", merged=True)
    assert crm.read(account)["merged"] is False
    order = crm.create("salesorder", name="Order 1")
    assert crm.read(order)["ispricelocked"] is False


@pytest.mark.behaviour("Rows", "A default does not replace a column sent as null", "common")
def test_a_default_does_not_replace_an_explicit_nothing(crm):
    payment = crm.create("new_payment", new_paymentstatus=None)
    assert "new_paymentstatus" not in crm.read(payment)


@pytest.mark.behaviour(
    "Rows", "Columns that are business required are required by forms, not by the platform", "common"
)
def test_a_name_is_not_enforced_although_forms_require_it(crm):
    assert "new_name" not in crm.read(crm.create("new_payment"))


@pytest.mark.behaviour("Rows", "`overriddencreatedon` becomes the creation date", "common")
def test_an_imported_row_keeps_its_own_creation_date(crm):
    then = NOON - timedelta(days=400)
    row = crm.read(crm.create("account", overriddencreatedon=then))
    assert (row["createdon"], row["overriddencreatedon"], row["modifiedon"]) == (then, NOON, NOON)


@pytest.mark.behaviour(
    "Rows", "An update changes modifiedon and modifiedby and leaves createdon and createdby", "common"
)
def test_an_update_signs_the_row_and_leaves_its_creation_alone(crm):
    account = crm.create("account", name="Contoso")
    crm.clock.advance(timedelta(hours=1))
    target = Entity("account", account.id, {"name": "Fabrikam", "createdon": NOON - timedelta(days=1)})
    crm.write(crm.records.update, target, SYSTEM_USER_ID)
    row = crm.read(account)
    assert (row["createdon"], row["modifiedon"]) == (NOON, NOON + timedelta(hours=1))
    assert (row["createdby"].id, row["modifiedby"].id) == (ADMINISTRATOR_ID, SYSTEM_USER_ID)


def test_an_updates_target_holds_the_changes_and_the_modification(crm):
    account = crm.create("account", name="Contoso")
    target = crm.update(account, name="Fabrikam")
    assert target.keys() == {"name", "accountid", "modifiedon", "modifiedby", "modifiedonbehalfby"}


@pytest.mark.behaviour("Rows", "Columns only the platform writes are ignored in a request", "common")
@pytest.mark.parametrize(
    "column", ["createdby", "modifiedon", "versionnumber", "owningbusinessunit", "new_amount_base"]
)
def test_columns_of_the_platform_are_ignored_in_a_request(crm, money, column):
    values = {
        "createdby": EntityReference("systemuser", SYSTEM_USER_ID),
        "modifiedon": NOON - timedelta(days=9),
        "versionnumber": 1,
        "owningbusinessunit": EntityReference("businessunit", SYSTEM_USER_ID),
        "new_amount_base": money("99"),
    }
    plain = crm.read(crm.create("new_payment", new_amount=money("1")))
    row = crm.read(crm.create("new_payment", new_amount=money("1"), **{column: values[column]}))
    if column == "versionnumber":
        assert row[column] == plain[column] + 1
    else:
        assert row[column] == plain[column]


@pytest.mark.behaviour("Rows", "A user or team made without a business unit is of its maker's", "common")
@pytest.mark.parametrize(("table", "name"), [("team", "name"), ("systemuser", "lastname")])
def test_a_new_user_or_team_is_of_its_makers_business_unit(crm, table, name):
    row = crm.read(crm.create(table, **{name: "Collections"}))
    assert row["businessunitid"].id == ROOT_BUSINESS_UNIT_ID


@pytest.mark.behaviour("Rows", "A row can be owned by a team", "common")
def test_a_row_can_be_given_to_a_team(crm):
    unit = EntityReference("businessunit", ROOT_BUSINESS_UNIT_ID)
    team = crm.create("team", name="Collections", businessunitid=unit)
    row = crm.read(crm.create("account", ownerid=team))
    assert (row["ownerid"], row["owningteam"]) == (team, team)
    assert "owninguser" not in row


@pytest.mark.behaviour("Rows", "A new owner brings the owner's business unit", "common")
def test_a_new_owner_takes_the_row_along(crm):
    account = crm.create("account")
    crm.update(account, ownerid=EntityReference("systemuser", SYSTEM_USER_ID))
    assert crm.read(account, "owninguser")["owninguser"].id == SYSTEM_USER_ID


def test_an_owner_must_be_there(crm):
    nobody = EntityReference("systemuser", "00000000-0000-0000-0000-0000000000aa")
    with pytest.raises(ObjectDoesNotExist, match="systemuser With Id = 0000"):
        crm.create("account", ownerid=nobody)


@pytest.mark.parametrize("column", ["ownerid", "statecode", "statuscode"])
def test_a_row_is_never_without_owner_state_and_reason(crm, column):
    with pytest.raises(InvalidArgument, match=column):
        crm.update(crm.create("account"), **{column: None})


@pytest.mark.behaviour(
    "Rows", "Rows of tables the organization owns have no owner, and name the organization", "common"
)
def test_the_organizations_rows_have_no_owner(crm):
    code = {"isocurrencycode": "TRY", "currencysymbol": "₺"}
    row = crm.read(crm.create("transactioncurrency", currencyname="Lira", exchangerate=2, currencyprecision=2, **code))
    assert "ownerid" not in row
    assert row["organizationid"] == EntityReference("organization", ORGANIZATION_ID)


@pytest.mark.behaviour("Rows", "A contact's fullname follows its parts", "observed")
def test_a_contacts_full_name_follows_its_parts(crm):
    contact = crm.create("contact", firstname="Ada", lastname="Byron")
    assert crm.read(contact, "fullname")["fullname"] == "Ada Byron"
    target = crm.update(contact, lastname="Lovelace")
    assert target["fullname"] == crm.read(contact, "fullname")["fullname"] == "Ada Lovelace"


@pytest.mark.behaviour("Rows", "A new state brings its default status reason", "common")
def test_a_state_brings_its_first_status_reason(crm):
    order = crm.create("salesorder")
    crm.update(order, statecode=OptionSetValue(3))
    assert crm.read(order, "statuscode")["statuscode"] == OptionSetValue(100001)


def test_a_status_reason_of_the_present_state_is_taken(crm):
    order = crm.create("salesorder")
    crm.update(order, statuscode=OptionSetValue(2))
    assert crm.read(order, "statecode")["statecode"] == OptionSetValue(0)


@pytest.mark.behaviour(
    "Rows", "A status reason of another state is refused with 0x80048408", "reference/web-service-error-codes"
)
@pytest.mark.parametrize(
    ("state", "status"),
    [(None, 4), (2, 1), (0, 100003), (9, 1), (9, None)],
    ids=["of another state", "state and reason disagree", "reason of a later state", "no such state", "only that"],
)
def test_a_status_reason_of_another_state_is_refused(crm, state, status):
    columns = {"statecode": state, "statuscode": status}
    given = {name: OptionSetValue(value) for name, value in columns.items() if value is not None}
    with pytest.raises(InvalidStateCodeStatusCode) as fault:
        crm.update(crm.create("salesorder"), **given)
    assert fault.value.code == 0x80048408
    with pytest.raises(InvalidStateCodeStatusCode):
        crm.create("salesorder", **given)


@pytest.mark.behaviour("Rows", "A row can be created inactive", "common")
def test_a_row_can_be_created_inactive(crm):
    row = crm.read(crm.create("account", statecode=OptionSetValue(1)))
    assert row["statuscode"] == OptionSetValue(2)


def test_a_state_must_be_a_choice(crm):
    with pytest.raises(IncorrectAttributeValueType, match="statecode"):
        crm.create("account", statecode=1)


@pytest.mark.behaviour(
    "Rows", "Columns that are system required are required by the platform", "reference/entities/transactioncurrency"
)
@pytest.mark.parametrize("missing", ["isocurrencycode", "currencysymbol", "currencyprecision", "exchangerate"])
def test_a_currency_needs_all_that_amounts_are_reckoned_with(crm, currency, missing):
    columns = {"isocurrencycode": "TRY", "currencyname": "Lira", "currencysymbol": "₺", "currencyprecision": 2}
    columns["exchangerate"] = Decimal(41)
    with pytest.raises(InvalidArgument, match=missing):
        crm.create("transactioncurrency", **{name: value for name, value in columns.items() if name != missing})
    with pytest.raises(InvalidArgument, match="exchangerate"):
        crm.update(currency("EUR"), exchangerate=None)
    assert crm.read(crm.create("transactioncurrency", **columns))["currencyname"] == "Lira"
