"""Rows that refer to rows: what a deletion does to them, and how links are made."""

from __future__ import annotations

import pytest

from dataverse_client.types import EntityReference
from runner.emulator.errors import (
    CannotDeleteDueToAssociation,
    DuplicateRecord,
    InvalidArgument,
    LoopBeingCreated,
    ObjectDoesNotExist,
)
from runner.emulator.query.model import Link, Query
from runner.emulator.seed import ADMINISTRATOR_ID, ROOT_BUSINESS_UNIT_ID

USER = EntityReference("systemuser", ADMINISTRATOR_ID)
MEMBERSHIP = "teammembership_association"


@pytest.fixture
def team(crm):
    unit = EntityReference("businessunit", ROOT_BUSINESS_UNIT_ID)
    return crm.create("team", name="Collections", businessunitid=unit)


def is_there(crm, row):
    return crm.records.resolve_key(row) is not None


@pytest.mark.behaviour(
    "Rows",
    "Remove Link: deleting a row clears the lookups that refer to it",
    "configure-entity-relationship-cascading-behavior",
)
def test_a_deleted_order_is_taken_off_its_payments(crm):
    order = crm.create("salesorder")
    payment = crm.create("new_payment", new_salesorderid=order)
    before = crm.read(payment).row_version
    crm.delete(order)
    row = crm.read(payment)
    assert "new_salesorderid" not in row
    assert row.row_version != before


@pytest.mark.behaviour(
    "Rows",
    "Restrict: a row others refer to cannot be deleted, 0x80040227",
    "configure-entity-relationship-cascading-behavior",
)
def test_an_account_with_orders_cannot_be_deleted(crm):
    account = crm.create("account")
    order = crm.create("salesorder", customerid=account)
    with pytest.raises(CannotDeleteDueToAssociation, match=f"salesorder {order.id}.*customerid") as fault:
        crm.delete(account)
    assert (fault.value.code, fault.value.http_status) == (0x80040227, 405)
    assert is_there(crm, account)


@pytest.mark.behaviour(
    "Rows",
    "A deletion that one relationship restricts has done nothing for the others",
    "configure-entity-relationship-cascading-behavior",
)
def test_a_refused_deletion_has_changed_nothing(crm):
    account = crm.create("account")
    contact = crm.create("contact", parentcustomerid=account)
    crm.create("salesorder", customerid=account)
    with pytest.raises(CannotDeleteDueToAssociation):
        crm.delete(account)
    assert crm.read(contact)["parentcustomerid"] == account


@pytest.mark.behaviour(
    "Rows",
    "Cascade: deleting a row deletes the rows that refer to it",
    "configure-entity-relationship-cascading-behavior",
)
def test_an_accounts_contacts_go_with_it(crm):
    account = crm.create("account")
    contact = crm.create("contact", parentcustomerid=account)
    crm.delete(account)
    assert not is_there(crm, contact)


def test_a_contact_of_another_customer_with_the_same_id_stays(crm):
    account = crm.create("account")
    namesake = crm.create("contact", account.id)
    other = crm.create("contact", parentcustomerid=namesake)
    crm.delete(account)
    assert is_there(crm, other)


def test_rows_that_refer_to_each_other_go_together(crm):
    first = crm.create("contact")
    second = crm.create("contact", parentcustomerid=first)
    crm.update(first, parentcustomerid=second)
    crm.delete(first)
    assert not is_there(crm, first)
    assert not is_there(crm, second)


def test_a_row_that_went_with_another_is_not_deleted_twice(crm):
    """Given a step that, when the first contact goes, deletes the second one itself."""
    account = crm.create("account")
    contacts = [crm.create("contact", parentcustomerid=account) for _ in range(2)]

    def both(_):
        for contact in contacts:
            crm.records.delete(contact)

    crm.delete(account, delete=both)
    assert not any(is_there(crm, row) for row in (account, *contacts))


def test_rows_taken_along_are_deleted_the_callers_way(crm):
    account = crm.create("account")
    contact = crm.create("contact", parentcustomerid=account)
    deleted = []
    crm.delete(account, delete=deleted.append)
    assert deleted == [contact]


def test_a_currency_in_use_cannot_be_deleted(crm, currency):
    crm.create("new_payment", transactioncurrencyid=currency("EUR"))
    with pytest.raises(CannotDeleteDueToAssociation, match="new_payment"):
        crm.delete(currency("EUR"))


@pytest.mark.behaviour(
    "Rows",
    "Associate sets the lookup of a one-to-many relationship, Disassociate clears it",
    "org-service/use-messages",
)
def test_a_lookup_is_set_and_cleared_by_association(crm):
    account, contact = crm.create("account"), crm.create("contact")
    crm.associate(account, "contact_customer_accounts", contact)
    assert crm.read(contact)["parentcustomerid"] == account
    crm.disassociate(account, "contact_customer_accounts", contact)
    assert "parentcustomerid" not in crm.read(contact)


def test_a_lookup_is_associated_with_one_row_only(crm):
    account, first, second = crm.create("account"), crm.create("contact"), crm.create("contact")
    with pytest.raises(InvalidArgument, match="one row of 'account_primary_contact', not 2"):
        crm.associate(account, "account_primary_contact", first, second)
    assert "primarycontactid" not in crm.read(account)


def test_an_association_may_be_told_from_either_end(crm):
    account, contact = crm.create("account"), crm.create("contact")
    crm.associate(contact, "contact_customer_accounts", account)
    assert crm.read(contact)["parentcustomerid"] == account


def test_taking_away_what_is_not_linked_changes_nothing(crm):
    account, other = crm.create("account"), crm.create("account")
    contact = crm.create("contact", parentcustomerid=other)
    crm.disassociate(account, "contact_customer_accounts", contact)
    assert crm.read(contact)["parentcustomerid"] == other


def members(crm, team):
    link = Link("teammembership", "systemuserid", "systemuserid", "m", columns=("teamid",))
    found = crm.records.retrieve_multiple(Query("systemuser", ("fullname",), links=(link,)))
    return [row.id for row in found if row["m.teamid"].value == team.id]


@pytest.mark.behaviour("Rows", "Associate and Disassociate link rows many-to-many", "org-service/use-messages")
def test_a_team_has_members_until_they_leave(crm, team):
    crm.associate(team, MEMBERSHIP, USER)
    assert members(crm, team) == [USER.id]
    crm.disassociate(USER, MEMBERSHIP, team)
    assert members(crm, team) == []


@pytest.mark.behaviour("Rows", "Associating rows that are associated already is refused with 0x80040237", "common")
def test_nobody_is_a_member_twice(crm, team):
    crm.associate(team, MEMBERSHIP, USER)
    with pytest.raises(DuplicateRecord) as fault:
        crm.associate(USER, MEMBERSHIP, team)
    assert fault.value.code == 0x80040237


def test_a_deleted_team_leaves_no_members_behind(crm, team):
    crm.associate(team, MEMBERSHIP, USER)
    crm.delete(team)
    assert len(crm.records.retrieve_multiple(Query("teammembership"))) == 0


def test_both_rows_of_a_link_must_be_there(crm, team):
    with pytest.raises(ObjectDoesNotExist, match="systemuser"):
        crm.associate(team, MEMBERSHIP, EntityReference("systemuser", ROOT_BUSINESS_UNIT_ID))


def test_a_relationship_nobody_knows_is_refused_by_name(crm, team):
    with pytest.raises(InvalidArgument, match="no relationship 'no_such' of team"):
        crm.associate(team, "no_such", USER)


@pytest.mark.behaviour(
    "Rows", "A row cannot become its own ancestor in a hierarchy, 0x80040507", "reference/web-service-error-codes"
)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_hierarchy_has_no_loops(crm, depth):
    """Given accounts that hang under each other, the topmost cannot be hung under the last."""
    top = last = crm.create("account")
    for _ in range(depth - 1):
        last = crm.create("account", parentaccountid=last)
    with pytest.raises(LoopBeingCreated):
        crm.update(top, parentaccountid=last)
