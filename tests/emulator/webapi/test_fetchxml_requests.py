"""``GET set?fetchXml=``: the shape of its answers, and the cookies clients follow."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus, unquote

import pytest
from defusedxml import ElementTree

ANNOTATIONS = "Microsoft.Dynamics.CRM."
FORMATTED = "OData.Community.Display.V1.FormattedValue"
NAMED = "OData.Community.Display.V1.AttributeName"
EVERYTHING = 'odata.include-annotations="*"'


@pytest.fixture
def accounts(crm):
    contact = crm.create("contacts", firstname="Ann", lastname="Lee")
    bind = {"primarycontactid__bind": f"/contacts({contact})"}
    return [crm.create("accounts", name=f"A{index}", revenue=index, **bind) for index in range(5)]


def url(xml, entity_set="accounts"):
    return f"{entity_set}?fetchXml={quote(xml)}"


def account(inside, attributes=""):
    return url(f"<fetch {attributes}><entity name='account'>{inside}</entity></fetch>")


NAME = "<attribute name='name'/><order attribute='name'/>"
CONTACT = "<link-entity name='contact' from='contactid' to='primarycontactid' alias='c'>{}</link-entity>"


def test_rows_are_written_as_odata_writes_them(crm, accounts):
    row = crm.get(account(f"{NAME}<attribute name='primarycontactid'/>"))["value"][0]
    assert row.keys() == {"@odata.etag", "name", "_primarycontactid_value", "accountid"}
    assert (row["name"], row["accountid"]) == ("A0", accounts[0])


def test_linked_columns_are_called_after_the_alias(crm, accounts):
    link = CONTACT.format("<attribute name='fullname'/><attribute name='ownerid'/>")
    row = crm.get(account(NAME + link))["value"][0]
    assert row["c.fullname"] == "Ann Lee"
    assert not [key for key in row if key.startswith("c.ownerid@")]


def test_annotations_come_when_asked_for(crm, accounts):
    link = CONTACT.format("<attribute name='ownerid'/>")
    row = crm.get(account(f"{NAME}<attribute name='revenue' alias='r'/>{link}"), Prefer=EVERYTHING)["value"][1]
    assert row[f"r@{FORMATTED}"] == "$1.00"
    assert row[f"c.ownerid@{FORMATTED}"] == "Ada Administrator"
    assert row[f"c.ownerid@{ANNOTATIONS}lookuplogicalname"] == "systemuser"
    assert (row[f"r@{NAMED}"], row[f"c.ownerid@{NAMED}"]) == ("revenue", "ownerid")


def test_a_column_without_a_value_is_left_out_and_a_linked_one_too(crm, accounts):
    link = CONTACT.format("<attribute name='jobtitle'/>")
    row = crm.get(account(f"<attribute name='telephone1'/>{link}"))["value"][0]
    assert "telephone1" not in row
    assert "c.jobtitle" not in row


def test_groups_are_written_by_alias(crm, accounts):
    inside = (
        "<attribute name='statecode' groupby='true' alias='state'/>"
        "<attribute name='revenue' aggregate='sum' alias='total'/>"
    )
    answer = crm.get(account(inside, "aggregate='true'"), Prefer=EVERYTHING)
    [group] = answer["value"]
    assert group == {
        f"state@{NAMED}": "statecode",
        f"state@{FORMATTED}": "Active",
        "state": 0,
        f"total@{NAMED}": "revenue",
        f"total@{FORMATTED}": "$10.00",
        "total": 10,
    }


def test_an_alias_may_be_the_name_of_another_column(crm, accounts):
    row = crm.get(account("<attribute name='name' alias='numberofemployees'/>"), Prefer=EVERYTHING)["value"][0]
    assert row["numberofemployees"].startswith("A")


# --- pages ------------------------------------------------------------------------------------------------------


def next_fetch(xml, answer):
    """The next page's FetchXML, made as Microsoft's Python client makes it."""
    wrapper = ElementTree.fromstring(answer[f"@{ANNOTATIONS}fetchxmlpagingcookie"])
    fetch = ElementTree.fromstring(xml)
    fetch.set("paging-cookie", unquote(unquote(wrapper.get("pagingcookie"))))
    fetch.set("page", wrapper.get("pagenumber"))
    return ElementTree.tostring(fetch, encoding="unicode")


def test_clients_follow_the_cookie_to_the_end(crm, accounts):
    xml = f"<fetch count='2'><entity name='account'>{NAME}</entity></fetch>"
    pages = []
    while xml:
        answer = crm.get(f"accounts?fetchXml={quote_plus(xml)}", Prefer=EVERYTHING)
        pages.append([row["name"] for row in answer["value"]])
        xml = next_fetch(xml, answer) if answer.get(f"@{ANNOTATIONS}morerecords") is True else None
    assert pages == [["A0", "A1"], ["A2", "A3"], ["A4"]]
    assert f"@{ANNOTATIONS}fetchxmlpagingcookie" not in answer


def test_the_cookie_has_the_form_other_clients_match(crm, accounts):
    """The inner cookie carries the page that ends with it, and no quote or angle that needs care."""
    answer = crm.get(account(NAME, "count='2'"), Prefer=EVERYTHING)
    decoded = unquote(unquote(answer[f"@{ANNOTATIONS}fetchxmlpagingcookie"]))
    inner = re.search(r'pagingcookie="(<cookie page="(\d+)".+</cookie>)', decoded)
    assert inner[2] == "1"
    assert re.fullmatch(r'<cookie page="1"><accountid last="[\w=-]+" /></cookie>', inner[1])


def test_paging_is_not_spoken_of_unasked(crm, accounts):
    assert crm.get(account(NAME, "count='2'")).keys() == {"@odata.context", "value"}


def test_a_total_is_told_when_the_query_and_the_client_ask(crm, accounts):
    answer = crm.get(account(NAME, "count='2' returntotalrecordcount='true'"), Prefer=EVERYTHING)
    assert answer[f"@{ANNOTATIONS}totalrecordcount"] == 5
    assert answer[f"@{ANNOTATIONS}totalrecordcountlimitexceeded"] is False


@pytest.mark.behaviour(
    "Web API", "FetchXML counts rows when $count or returntotalrecordcount asks", "fetchxml/count-rows"
)
@pytest.mark.parametrize("asked", [("", "&$count=true"), (" returntotalrecordcount='true'", "")])
def test_rows_are_counted_either_way(crm, accounts, asked):
    attribute, option = asked
    assert crm.get(account(NAME, f"count='2'{attribute}") + option)["@odata.count"] == 5


def test_a_count_that_is_not_wanted_is_none(crm, accounts):
    assert "@odata.count" not in crm.get(account(NAME) + "&$count=false")


# --- requests -----------------------------------------------------------------------------------------------------


def test_a_long_question_comes_in_a_batch(crm, accounts):
    body = _batch(account(NAME, "top='1'"))
    response = crm.send("POST", "$batch", body, Content_Type="multipart/mixed;boundary=b")
    assert response.status == 200
    assert b'"name":"A0"' in response.body


def _batch(path):
    lines = [
        "--b",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"GET /api/data/v9.2/{path} HTTP/1.1",
        "",
        "",
        "--b--",
        "",
    ]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("path", "code", "named"),
    [
        (account("<attribute name='nme'/>"), "0x80041103", "nme"),
        (url("<fetch><entity name='contact'/></fetch>"), "0x80060888", "contact"),
        (account(NAME) + "&$top=1", "0x80060888", "$top"),
        ("accounts?fetchXml=", "0x80041124", "empty"),
        (url("<fetch><entity name='account'>"), "0x80040203", "Invalid XML"),
    ],
)
def test_what_cannot_be_meant_is_a_bad_request(crm, error_of, path, code, named):
    status, found, message = error_of(crm.send("GET", path))
    assert (status, found) == (400, code)
    assert named in message


class TestNameColumns:
    """``primarycontactidname``: nothing is stored in it, and OData does not have it."""

    @pytest.fixture
    def named(self, crm):
        for name, last, hold in (("A", "Zoe", True), ("B", "Amy", False), ("C", None, False)):
            contact = {"primarycontactid": {"firstname": "Dr.", "lastname": last}} if last else {}
            crm.create("accounts", name=name, creditonhold=hold, **contact)

    @pytest.mark.behaviour("Queries", "Conditions and orders may name what a lookup or a choice shows", "common")
    @pytest.mark.parametrize(
        ("inside", "found"),
        [
            ("<filter><condition attribute='primarycontactidname' operator='like' value='%ZOE'/></filter>", ["A"]),
            ("<filter><condition attribute='primarycontactidname' operator='null'/></filter>", ["C"]),
            ("<filter><condition attribute='creditonholdname' operator='eq' value='yes'/></filter>", ["A"]),
            ("<filter><condition attribute='statuscodename' operator='ne' value='Active'/></filter>", []),
            ("<order attribute='primarycontactidname' descending='true'/>", ["A", "B", "C"]),
        ],
    )
    def test_are_compared_and_sorted_by(self, crm, named, inside, found):
        rows = crm.get(account(f"<attribute name='name'/>{inside}"))["value"]
        assert [row["name"] for row in rows] == found

    def test_are_answered_under_an_alias_and_left_out_without_one(self, crm, named):
        attributes = "<attribute name='primarycontactidname' alias='who'/><attribute name='statuscodename'/>"
        first = crm.get(account(f"{NAME}{attributes}"), Prefer=EVERYTHING)["value"][0]
        assert first["who"] == "Dr. Zoe"
        assert "statuscodename" not in first

    def test_of_linked_tables_are_called_as_other_columns_are(self, crm, named):
        link = CONTACT.format("<attribute name='owneridname'/>")
        assert crm.get(account(NAME + link))["value"][0]["c.owneridname"] == "Ada Administrator"

    def test_are_grouped_by_and_counted(self, crm, named):
        inside = (
            "<attribute name='statecodename' groupby='true' alias='state'/>"
            "<attribute name='primarycontactidname' aggregate='countcolumn' alias='n'/>"
            "<attribute name='primarycontactidname' aggregate='min' alias='first'/>"
        )
        groups = crm.get(account(inside, "aggregate='true'"))["value"]
        assert groups == [{"state": "Active", "n": 2, "first": "Dr. Amy"}]

    @pytest.mark.parametrize("attribute", ["namename", "revenuename", "nothingname"])
    def test_are_those_of_lookups_and_choices_alone(self, crm, error_of, attribute):
        assert error_of(crm.send("GET", account(f"<attribute name='{attribute}'/>")))[1] == "0x80041103"


def test_an_amount_brings_its_currency_along(crm, accounts):
    assert "_transactioncurrencyid_value" in crm.get(account("<attribute name='revenue'/>"))["value"][0]
