"""What is said to FetchXML that cannot be meant."""

from __future__ import annotations

import pytest

from runner.emulator.errors import InvalidArgument, OrganizationServiceFault

ACCOUNT = "<fetch><entity name='account'>{}</entity></fetch>"
CONTACT = "<fetch><entity name='contact'>{}</entity></fetch>"
AGGREGATE = "<fetch aggregate='true'><entity name='account'>{}</entity></fetch>"
LINK = "<link-entity name='account' from='accountid' to='parentaccountid' {}/>"

EXISTS = "<link-entity name='account' from='parentaccountid' to='accountid' link-type='exists'>{}</link-entity>"
INNER = "<link-entity name='account' from='accountid' to='accountid'><attribute name='name'/></link-entity>"


def condition(attribute, operator, *values, **more):
    attributes = "".join(f" {name}='{value}'" for name, value in more.items())
    children = "".join(f"<value>{value}</value>" for value in values)
    return f"<condition attribute='{attribute}' operator='{operator}'{attributes}>{children}</condition>"


def filtered(condition, kind="and"):
    return f"<filter type='{kind}'>{condition}</filter>"


@pytest.mark.parametrize(
    ("xml", "code", "named"),
    [
        ("", 0x80041124, "empty"),
        ("<fetch>", 0x80040203, "Invalid XML"),
        ("<entity name='account'/>", 0x8004111C, "fetch"),
        ("<fetch/>", 0x80041123, "one entity"),
        ("<fetch><entity/></fetch>", 0x80041123, "'name'"),
        ("<fetch><entity name='nothing'/></fetch>", 0x80041102, "nothing"),
        ("<fetch top='5001'><entity name='account'/></fetch>", 0x80041108, "5000"),
        ("<fetch top='many'><entity name='account'/></fetch>", 0x80041108, "top"),
        ("<fetch top='1' page='2'><entity name='account'/></fetch>", 0x80040203, "top"),
        (
            "<fetch top='1' returntotalrecordcount='true'><entity name='account'/></fetch>",
            0x80040203,
            "totalrecordcount",
        ),
        ("<fetch distinct='maybe'><entity name='account'/></fetch>", 0x80041108, "distinct"),
        ("<fetch page='2' paging-cookie='x'><entity name='account'/></fetch>", 0x80040203, "paging cookie"),
        (ACCOUNT.format("<column name='name'/>"), 0x8004111C, "column"),
        (ACCOUNT.format("<attribute name='nme'/>"), 0x80041103, "nme"),
        (ACCOUNT.format("<attribute name='name' alias='a b'/>"), 0x80041109, "a b"),
        (ACCOUNT.format("<attribute name='revenue' aggregate='sum' alias='s'/>"), 0x8004111A, "revenue"),
        (ACCOUNT.format("<order attribute='nme'/>"), 0x80041103, "nme"),
        (ACCOUNT.format("<order entityname='x' attribute='name'/>"), 0x80041126, "'x'"),
        (ACCOUNT.format(filtered(condition("name", "eq"))), 0x80041106, "name"),
        (ACCOUNT.format(filtered(condition("name", "in"))), 0x80041106, "name"),
        (ACCOUNT.format(filtered(condition("name", "between", "1"))), 0x80041106, "name"),
        (ACCOUNT.format(filtered(condition("name", "resembles", value="x"))), 0x80041120, "resembles"),
        (ACCOUNT.format(filtered(condition("name", "under", value="x"))), 0x80041120, "hierarchical"),
        (ACCOUNT.format(filtered(condition("name", "today"))), 0x80041120, "name"),
        (ACCOUNT.format(filtered(condition("createdon", "last-x-days", value="-1"))), 0x80041108, "-1"),
        (ACCOUNT.format(filtered(condition("createdon", "on", value="soon"))), 0x80041108, "soon"),
        (CONTACT.format(filtered(condition("birthdate", "last-x-hours", value="1"))), 0x80041120, "birthdate"),
        (CONTACT.format(filtered(condition("birthdate", "olderthan-x-minutes", value="1"))), 0x80041120, "birthdate"),
        (ACCOUNT.format(filtered(condition("revenue", "eq", value="much"))), 0x80040203, "revenue"),
        (ACCOUNT.format(filtered(condition("revenue", "eq", value="1e999999999"))), 0x80040203, "revenue"),
        (ACCOUNT.format(filtered(condition("name", "eq", value="x", entityname="y"))), 0x8004110A, "'y'"),
        (ACCOUNT.format(filtered(condition("name", "eq", value="x"), kind="xor")), 0x80041122, "xor"),
        (ACCOUNT.format(LINK.format("link-type='sideways'")), 0x80041117, "sideways"),
        (ACCOUNT.format(LINK.format("link-type='any'")), 0x80041117, "any"),
        (ACCOUNT.format(LINK.format("alias='p'") * 2), 0x80040203, "'p'"),
        (ACCOUNT.format(EXISTS.format("<attribute name='name'/>")), 0x8004111C, "attribute"),
        (ACCOUNT.format(EXISTS.format(INNER)), 0x8004111C, "attribute"),
        (ACCOUNT.format("<link-entity name='contact'/>"), 0x80041102, "between account and contact"),
        (ACCOUNT.format("<link-entity name='contact' to='name'/>"), 0x80041102, "between account and contact"),
        (ACCOUNT.format(filtered(condition("name", "null")) * 501), 0x8004430C, "conditions"),
        (ACCOUNT.format(LINK.format("") * 16), 0x8004430D, "link entities"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><fetch/>", 0x80040203, "Invalid XML"),
        (ACCOUNT.format("<filter>" * 100 + "</filter>" * 100), 0x80040203, "deeper"),
    ],
)
def test_a_question_without_meaning_is_refused(fetch, xml, code, named):
    """The refusal has Dataverse's code, and names what is wrong."""
    with pytest.raises(InvalidArgument, match=named.replace("(", r"\(")) as refused:
        fetch(xml)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ("", 0x8004111A),
        ("<attribute name='name'/>", 0x80041107),
        ("<attribute name='name' groupby='true'/>", 0x8004110B),
        ("<attribute name='name' aggregate='median' alias='m'/>", 0x8004111A),
        ("<attribute name='revenue' aggregate='sum' groupby='true' alias='m'/>", 0x8004111A),
        ("<attribute name='name' aggregate='sum' alias='s'/>", 0x80040203),
        (
            "<attribute name='name' groupby='true' alias='n'/><attribute name='name' groupby='true' alias='n'/>",
            0x80041109,
        ),
        ("<attribute name='name' groupby='true' alias='n'/><order attribute='name'/>", 0x80041107),
    ],
)
def test_aggregates_without_meaning_are_refused(fetch, attributes, code):
    with pytest.raises(OrganizationServiceFault) as refused:
        fetch(AGGREGATE.format(attributes))
    assert (refused.value.code, refused.value.http_status) == (code, 400)
