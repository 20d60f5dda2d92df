"""FetchXML through RetrieveMultiple: what a question means, and what is said to one that means nothing."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from dataverse_client.types import (
    AliasedValue,
    Entity,
    EntityReference,
    FetchExpression,
    Money,
    OptionSetValue,
)

ACCOUNT = "<fetch><entity name='account'>{}</entity></fetch>"
NAME = "<attribute name='name'/>"
ACCOUNTS = ("Ada", "Bea", "Cleo", "Dora", "Eve")


@pytest.fixture
def accounts(service):
    """Five accounts; Bea's is the parent of Cleo's and Dora's. The first has no employees."""
    ids = {}
    for index, name in enumerate(ACCOUNTS):
        columns = {"name": name, "revenue": Money(Decimal(index * 10)), "numberofemployees": index or None}
        if name in ("Cleo", "Dora"):
            columns["parentaccountid"] = EntityReference("account", ids["Bea"])
        ids[name] = service.create(Entity("account", None, columns))
    return ids


@pytest.fixture
def names(fetch, accounts):
    """The names of the accounts for which a filter, or a link, holds."""

    def found(inside):
        order = "<order attribute='name'/>"
        rows = fetch(f"<fetch><entity name='account'><attribute name='name'/>{order}{inside}</entity></fetch>")
        return [row["name"] for row in rows]

    return found


def condition(attribute, operator, *values, **more):
    attributes = "".join(f" {name}='{value}'" for name, value in more.items())
    children = "".join(f"<value>{value}</value>" for value in values)
    return f"<condition attribute='{attribute}' operator='{operator}'{attributes}>{children}</condition>"


def having(*conditions, kind="and"):
    return f"<filter type='{kind}'>{''.join(conditions)}</filter>"


@pytest.mark.behaviour(
    "Queries", "Every operator of FetchXML on text, numbers, choices and lookups", "fetchxml/reference/operators"
)
@pytest.mark.parametrize(
    ("written", "found"),
    [
        (condition("name", "eq", value="ADA"), ["Ada"]),
        (condition("name", "ne", value="ada"), ["Bea", "Cleo", "Dora", "Eve"]),
        (condition("name", "neq", value="ada"), ["Bea", "Cleo", "Dora", "Eve"]),
        (condition("numberofemployees", "ne", value="1"), ["Ada", "Cleo", "Dora", "Eve"]),
        (condition("revenue", "gt", value="20"), ["Dora", "Eve"]),
        (condition("revenue", "ge", value="20.00"), ["Cleo", "Dora", "Eve"]),
        (condition("revenue", "lt", value="10"), ["Ada"]),
        (condition("revenue", "le", value="10"), ["Ada", "Bea"]),
        (condition("name", "like", value="%E%"), ["Bea", "Cleo", "Eve"]),
        (condition("name", "like", value="_ea"), ["Bea"]),
        (condition("name", "like", value="[a-b]%"), ["Ada", "Bea"]),
        (condition("name", "not-like", value="%e%"), ["Ada", "Dora"]),
        (condition("name", "in", "ada", "EVE"), ["Ada", "Eve"]),
        (condition("numberofemployees", "not-in", "1", "2"), ["Ada", "Dora", "Eve"]),
        (condition("numberofemployees", "null"), ["Ada"]),
        (condition("numberofemployees", "not-null"), ["Bea", "Cleo", "Dora", "Eve"]),
        (condition("name", "begins-with", value="c"), ["Cleo"]),
        (condition("name", "not-begin-with", value="c"), ["Ada", "Bea", "Dora", "Eve"]),
        (condition("name", "ends-with", value="A"), ["Ada", "Bea", "Dora"]),
        (condition("name", "not-end-with", value="a"), ["Cleo", "Eve"]),
        (condition("numberofemployees", "between", "2", "3"), ["Cleo", "Dora"]),
        (condition("numberofemployees", "not-between", "2", "3"), ["Bea", "Eve"]),
        (condition("statecode", "eq", value="0"), list(ACCOUNTS)),
        (condition("creditonhold", "eq", value="true"), []),
        (condition("createdon", "eq", valueof="modifiedon"), list(ACCOUNTS)),
    ],
)
def test_an_operator_finds_what_it_says(names, written, found):
    assert names(having(written)) == found


def test_a_filter_holds_other_filters(names):
    either = having(condition("name", "eq", value="Ada"), condition("name", "eq", value="Eve"), kind="or")
    assert names(having(either, condition("revenue", "gt", value="0"))) == ["Eve"]


def test_several_filters_must_all_hold(names):
    assert names(having(condition("revenue", "gt", value="0")) + having(condition("name", "like", value="%a"))) == [
        "Bea",
        "Dora",
    ]


@pytest.mark.behaviour("Queries", "Relative dates of FetchXML are seen from now", "fetchxml/reference/operators")
@pytest.mark.parametrize(
    ("operator", "days"),
    [
        ("yesterday", -1),
        ("today", 0),
        ("tomorrow", 1),
        ("last-week", -7),
        ("this-week", 0),
        ("next-week", 7),
        ("last-month", -31),
        ("next-month", 31),
        ("last-year", -365),
        ("next-year", 365),
        ("last-seven-days", -6),
        ("next-seven-days", 6),
    ],
)
def test_spans_are_seen_from_now(fetch, service, clock, operator, days):
    """Given a row made now, when the clock moves the other way, the row is found where the operator looks."""
    service.create(Entity("account", None, {"name": "Ada"}))
    clock.advance(timedelta(days=-days))
    found = fetch(f"<fetch><entity name='account'>{having(condition('createdon', operator))}</entity></fetch>")
    assert len(found) == 1


@pytest.mark.parametrize(
    ("operator", "value", "is_found"),
    [
        ("last-x-hours", 3, True),
        ("last-x-days", 1, True),
        ("last-x-weeks", 1, True),
        ("last-x-months", 1, True),
        ("last-x-years", 1, True),
        ("next-x-days", 1, False),
        ("olderthan-x-minutes", 30, True),
        ("olderthan-x-hours", 1, True),
        ("olderthan-x-days", 1, False),
        ("on", "2026-01-01", True),
        ("on-or-before", "2025-12-31", False),
        ("on-or-after", "2026-01-01", True),
    ],
)
def test_spans_are_counted_back_from_now(fetch, service, clock, operator, value, is_found):
    """Given a row made at noon of 1 January 2026, asked for two hours later."""
    service.create(Entity("account", None, {"name": "Ada"}))
    clock.advance(timedelta(hours=2))
    found = fetch(
        f"<fetch><entity name='account'>{having(condition('createdon', operator, value=value))}</entity></fetch>"
    )
    assert bool(found.entities) is is_found


@pytest.mark.behaviour(
    "Queries",
    "In a column of dates alone, the last days include today",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.conditionoperator",
)
@pytest.mark.parametrize(
    ("operator", "value", "days"),
    [
        ("last-seven-days", None, [-7, -1, 0]),
        ("last-x-days", 1, [-1, 0]),
        ("last-x-years", 1, [-8, -7, -1, 0]),
        ("next-seven-days", None, [0, 1]),
        ("olderthan-x-days", 7, [-8]),
    ],
)
def test_the_last_days_of_a_date_alone(fetch, service, clock, operator, value, days):
    today = clock.now().date()
    for day in (-8, -7, -1, 0, 1):
        service.create(Entity("contact", None, {"lastname": str(day), "birthdate": today + timedelta(days=day)}))
    asked = having(condition("birthdate", operator, **({} if value is None else {"value": value})))
    found = fetch(f"<fetch><entity name='contact'><attribute name='lastname'/>{asked}</entity></fetch>")
    assert sorted(int(row["lastname"]) for row in found) == days


def test_the_caller_is_who_asks(names):
    assert names(having(condition("ownerid", "eq-userid"))) == list(ACCOUNTS)
    assert names(having(condition("ownerid", "ne-userid"))) == []
    assert names(having(condition("owningbusinessunit", "eq-businessid"))) == list(ACCOUNTS)


# --- columns ------------------------------------------------------------------------------------------------


def test_without_attributes_every_column_comes(fetch, accounts):
    row = fetch("<fetch top='1'><entity name='account'/></fetch>")[0]
    assert {"name", "revenue", "statecode", "createdon"} <= set(row)


def test_no_attrs_leaves_the_id(fetch, accounts):
    rows = fetch("<fetch top='1'><entity name='account'><no-attrs/><order attribute='name'/></entity></fetch>")
    assert list(rows[0]) == ["accountid"]


def test_an_alias_makes_an_aliased_value(fetch, accounts):
    rows = fetch(
        "<fetch><entity name='account'><attribute name='name' alias='called'/><order alias='called'/></entity></fetch>"
    )
    assert rows[0]["called"] == AliasedValue("account", "name", "Ada")


def test_distinct_rows_have_no_id(fetch, accounts):
    rows = fetch("<fetch distinct='true'><entity name='account'><attribute name='statecode'/></entity></fetch>")
    assert [row.attributes for row in rows] == [{"statecode": OptionSetValue(0)}]


@pytest.mark.parametrize(("more", "codes"), [("", [1, 2, 3, 12, 7]), ("useraworderby='true'", [1, 2, 3, 7, 12])])
def test_choices_are_ordered_by_label_unless_their_values_are_asked_for(fetch, service, more, codes):
    """Given the customer types Competitor, Consultant, Customer, Press (7) and Other (12)."""
    for code in (12, 3, 1, 7, 2):
        service.create(Entity("account", None, {"name": "x", "customertypecode": OptionSetValue(code)}))
    inside = "<attribute name='customertypecode'/><order attribute='customertypecode'/>"
    rows = fetch(f"<fetch {more}><entity name='account'>{inside}</entity></fetch>")
    assert [row["customertypecode"].value for row in rows] == codes


def test_lookups_are_ordered_by_the_name_of_their_row_page_by_page(fetch, service):
    """Given parents whose ids have no order, when their children are paged by parent, they come by its name."""
    for name in ("b", "C", "a"):
        above = service.create(Entity("account", None, {"name": name}))
        service.create(
            Entity("account", None, {"name": f"of {name}", "parentaccountid": EntityReference("account", above)})
        )
    order = "<order attribute='parentaccountid' descending='true'/>"
    pages = paged(fetch, f"<fetch {{}}><entity name='account'>{NAME}{order}</entity></fetch>")
    assert [row["name"] for page in pages for row in page][:3] == ["of C", "of b", "of a"]


# --- links --------------------------------------------------------------------------------------------------


def parent(attributes="", inside=""):
    return f"<link-entity name='account' from='accountid' to='parentaccountid' {attributes}>{inside}</link-entity>"


def children(attributes="", inside=""):
    return f"<link-entity name='account' from='parentaccountid' to='accountid' {attributes}>{inside}</link-entity>"


def test_an_inner_link_keeps_rows_with_a_partner(names):
    assert names(parent()) == ["Cleo", "Dora"]


@pytest.mark.behaviour("Queries", "Linked columns come as AliasedValue", "fetchxml/overview")
def test_an_outer_link_keeps_every_row_and_brings_columns(fetch, accounts):
    link = parent(" link-type='outer' alias='p'", NAME)
    rows = fetch(f"<fetch><entity name='account'>{link}<order attribute='name'/></entity></fetch>")
    assert [row["p.name"].value if "p.name" in row else None for row in rows] == [None, None, "Bea", "Bea", None]


def test_a_link_without_an_alias_is_named_after_its_table_and_place(fetch, accounts):
    rows = fetch(ACCOUNT.format(parent(inside=NAME)))
    assert rows[0]["account1.name"].value == "Bea"


def test_a_link_entity_holds_other_link_entities(service, fetch, accounts):
    service.update(Entity("account", accounts["Bea"], {"parentaccountid": EntityReference("account", accounts["Ada"])}))
    rows = fetch(ACCOUNT.format(parent("alias='p'", inside=parent("alias='g'", inside=NAME))))
    assert {row["g.name"].value for row in rows} == {"Ada"}


@pytest.mark.behaviour(
    "Queries", "A filter inside an outer link-entity says what is joined, not which rows come", "fetchxml/overview"
)
def test_a_filter_inside_an_outer_link_keeps_the_parents(names):
    nobody = parent(" link-type='outer'", having(condition("name", "eq", value="nobody")))
    assert names(nobody) == list(ACCOUNTS)


def test_a_filter_may_look_at_a_linked_table(names):
    link = parent(" link-type='outer' alias='p'", "")
    missing = having(condition("accountid", "null", entityname="p"))
    assert names(missing + link) == ["Ada", "Bea", "Eve"]


def test_columns_of_two_tables_are_compared(names):
    link = parent(" alias='p'", "")
    assert names(link + having(condition("revenue", "gt", valueof="p.revenue"))) == ["Cleo", "Dora"]


def test_rows_are_ordered_by_a_linked_column(fetch, accounts):
    link = parent(" alias='p'", "")
    orders = "<order entityname='p' attribute='name'/><order attribute='name' descending='true'/>"
    rows = fetch(f"<fetch><entity name='account'><attribute name='name'/>{orders}{link}</entity></fetch>")
    assert [row["name"] for row in rows] == ["Dora", "Cleo"]


@pytest.mark.parametrize("kind", ["exists", "in"])
def test_a_semi_join_brings_each_parent_once(names, kind):
    assert names(children(f" link-type='{kind}'", "")) == ["Bea"]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("any", ["Bea"]),
        ("not all", ["Bea"]),
        ("not any", ["Ada", "Cleo", "Dora", "Eve"]),
        ("all", []),
    ],
)
def test_a_link_in_a_filter_asks_whether_related_rows_match(names, kind, found):
    named = having(condition("name", "eq", value="Cleo"))
    assert names(having(children(f" link-type='{kind}'", named))) == found


def test_all_finds_parents_none_of_whose_rows_match(names):
    named = having(condition("name", "eq", value="nobody"))
    assert names(having(children(" link-type='all'", named))) == ["Bea"]


# --- aggregates ---------------------------------------------------------------------------------------------


def aggregated(fetch, attributes, more=""):
    rows = fetch(f"<fetch aggregate='true'{more}><entity name='account'>{attributes}</entity></fetch>")
    return [{alias: value.value for alias, value in row.items()} for row in rows]


@pytest.mark.behaviour("Queries", "FetchXML aggregates and groups", "fetchxml/overview")
def test_every_aggregate_is_computed_over_the_rows_that_have_a_value(fetch, accounts):
    functions = ("sum", "avg", "min", "max", "count", "countcolumn")
    attributes = "".join(
        f"<attribute name='numberofemployees' aggregate='{function}' alias='{function}'/>" for function in functions
    )
    assert aggregated(fetch, attributes) == [
        {"sum": 10, "avg": 2, "min": 1, "max": 4, "count": 5, "countcolumn": 4},
    ]


def test_distinct_values_are_counted_once(fetch, accounts):
    attributes = "<attribute name='statecode' aggregate='countcolumn' distinct='true' alias='states'/>"
    assert aggregated(fetch, attributes) == [{"states": 1}]


def test_groups_are_ordered_by_alias(fetch, accounts):
    attributes = (
        "<attribute name='parentaccountid' groupby='true' alias='parent'/>"
        "<attribute name='revenue' aggregate='sum' alias='total'/>"
        "<order alias='total' descending='true'/>"
    )
    groups = aggregated(fetch, attributes)
    assert [group["total"] for group in groups] == [Money(Decimal("50.0000")), Money(Decimal("50.0000"))]
    assert {group.get("parent") for group in groups} == {None, EntityReference("account", accounts["Bea"])}


def test_dates_are_grouped_by_their_parts(fetch, service, clock):
    for days in (0, 1, 40):
        clock.advance(timedelta(days=days))
        service.create(Entity("account", None, {"name": "x"}))
    attributes = (
        "<attribute name='createdon' groupby='true' dategrouping='month' alias='month'/>"
        "<attribute name='accountid' aggregate='count' alias='rows'/><order alias='month'/>"
    )
    assert aggregated(fetch, attributes) == [{"month": 1, "rows": 2}, {"month": 2, "rows": 1}]


def test_groups_are_paged(fetch, accounts):
    attributes = (
        "<attribute name='name' groupby='true' alias='name'/>"
        "<attribute name='accountid' aggregate='count' alias='rows'/><order alias='name'/>"
    )
    assert [group["name"] for group in aggregated(fetch, attributes, " count='2' page='2'")] == ["Cleo", "Dora"]


# --- pages --------------------------------------------------------------------------------------------------


def paged(fetch, ask, size=2):
    """The rows of every page, following the cookies."""
    pages, cookie = [], ""
    while True:
        number = len(pages) + 1
        found = fetch(ask.format(f"count='{size}' page='{number}' {cookie}"))
        pages.append(found.entities)
        if not found.more_records:
            return pages
        escaped = found.paging_cookie.replace("<", "&lt;").replace('"', "&quot;")
        cookie = f'paging-cookie="{escaped}"'


@pytest.mark.behaviour("Queries", "FetchXML pages follow their paging cookie", "fetchxml/overview")
def test_pages_follow_their_cookies(fetch, accounts):
    ask = f"<fetch {{}}><entity name='account'>{NAME}<order attribute='name' descending='true'/></entity></fetch>"
    assert [[row["name"] for row in page] for page in paged(fetch, ask)] == [["Eve", "Dora"], ["Cleo", "Bea"], ["Ada"]]


def test_joined_rows_have_pages_too(fetch, accounts):
    ask = f"<fetch {{}}><entity name='account'>{NAME}{children()}</entity></fetch>"
    assert [len(page) for page in paged(fetch, ask, size=1)] == [1, 1]


def test_a_page_is_counted_off_without_its_cookie(fetch, accounts):
    rows = fetch("<fetch count='2' page='3'><entity name='account'><order attribute='name'/></entity></fetch>")
    assert [row["name"] for row in rows] == ["Eve"]


def test_rows_are_counted_when_asked(fetch, accounts):
    ask = "<fetch count='2'{}><entity name='account'/></fetch>"
    assert fetch(ask.format(" returntotalrecordcount='true'")).total_record_count == 5
    assert fetch(ask.format("")).total_record_count == -1


# --- plug-ins -------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Queries", "A RetrieveMultiple step sees a FetchExpression as its Query", "understand-the-data-context"
)
def test_a_plug_in_sees_the_question_and_may_ask_another(on, fetch, accounts):
    """Given a step before RetrieveMultiple that asks for another name."""

    @on("RetrieveMultiple", stage=20)
    def instead(context):
        question = context.input_parameters["Query"]
        context.input_parameters["Query"] = FetchExpression(question.query.replace("Ada", "Eve"))

    found = fetch(ACCOUNT.format(having(condition("name", "eq", value="Ada"))))
    assert [row["name"] for row in found] == ["Eve"]


def test_a_plugin_reads_what_a_lookup_shows_beside_what_it_holds(fetch, accounts):
    attributes = "<attribute name='parentaccountid'/><attribute name='parentaccountidname'/>"
    rows = fetch(ACCOUNT.format(NAME + attributes + "<order attribute='name'/>"))
    assert [row.get("parentaccountidname") for row in rows] == [None, None, "Bea", "Bea", None]
    assert rows[2]["parentaccountid"].id == accounts["Bea"]
