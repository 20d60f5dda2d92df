"""FetchXML about trees of rows, about teams and the fiscal calendar, and what an aggregate may cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dataverse_client.types import Entity, EntityReference, Money, QueryExpression
from runner.emulator.errors import InvalidArgument
from runner.emulator.seed import ADMINISTRATOR_ID, INTEGRATION_USER_ID, ROOT_BUSINESS_UNIT_ID

NAME = "<attribute name='name'/>"


def condition(attribute, operator, *values):
    children = "".join(f"<value>{value}</value>" for value in values)
    return f"<filter><condition attribute='{attribute}' operator='{operator}'>{children}</condition></filter>"


@pytest.fixture
def found(fetch):
    """The names of the accounts for which a filter, or a link, holds."""

    def ask(inside, entity="account"):
        rows = fetch(f"<fetch><entity name='{entity}'>{NAME}<order attribute='name'/>{inside}</entity></fetch>")
        return [row["name"] for row in rows]

    return ask


@pytest.fixture
def tree(service):
    """Root has the children Left and Right, Left has the child Leaf; Lone stands by itself."""
    ids = {}
    for name, parent in (("Root", None), ("Left", "Root"), ("Right", "Root"), ("Leaf", "Left"), ("Lone", None)):
        columns = {"name": name, "parentaccountid": EntityReference("account", ids[parent]) if parent else None}
        ids[name] = service.create(Entity("account", None, columns))
    return ids


@pytest.mark.behaviour(
    "Queries", "above, under and their kin follow the hierarchical relationship", "query-hierarchical-data"
)
@pytest.mark.parametrize(
    ("operator", "row", "names"),
    [
        ("under", "Root", ["Leaf", "Left", "Right"]),
        ("eq-or-under", "Left", ["Leaf", "Left"]),
        ("above", "Leaf", ["Left", "Root"]),
        ("eq-or-above", "Leaf", ["Leaf", "Left", "Root"]),
        ("not-under", "Left", ["Left", "Lone", "Right", "Root"]),
        ("under", "Lone", []),
    ],
)
def test_a_row_has_a_place_in_its_tree(found, tree, operator, row, names):
    assert found(condition("accountid", operator, tree[row])) == names


def test_a_lookup_says_where_its_row_stands(service, fetch, tree):
    contact = Entity(
        "contact", None, {"lastname": "Leaf's", "parentcustomerid": EntityReference("account", tree["Leaf"])}
    )
    service.create(contact)
    under = condition("parentcustomerid", "under", tree["Root"])
    (row,) = fetch(f"<fetch><entity name='contact'><attribute name='lastname'/>{under}</entity></fetch>")
    assert row["lastname"] == "Leaf's"


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("accountid", "nonsense", "compared with an id"),
        ("primarycontactid", ADMINISTRATOR_ID, "no hierarchical relationship"),
    ],
)
def test_what_stands_in_no_tree_is_refused(found, attribute, value, words):
    with pytest.raises(InvalidArgument, match=words):
        found(condition(attribute, "under", value))


@pytest.mark.behaviour(
    "Queries", "rowaggregate CountChildren counts the rows under each row", "query-hierarchical-data"
)
def test_children_are_counted(fetch, tree):
    rows = fetch(
        f"<fetch><entity name='account'>{NAME}"
        "<attribute name='accountid' rowaggregate='CountChildren' alias='children'/></entity></fetch>"
    )
    counts = {row["name"]: row["children"].value for row in rows}
    assert counts == {"Root": 2, "Left": 1, "Right": 0, "Leaf": 0, "Lone": 0}


@pytest.fixture
def owners(service):
    """Accounts of the administrator, of a report of his, and of a team of each; one of somebody else."""
    administrator = EntityReference("systemuser", ADMINISTRATOR_ID)
    report = EntityReference("systemuser", INTEGRATION_USER_ID)
    service.update(Entity("systemuser", INTEGRATION_USER_ID, {"parentsystemuserid": administrator}))
    owned = {"Mine": administrator, "My report's": report, "Another's": _team(service, "others")}
    for name, member in (("My team's", administrator), ("Their team's", report)):
        owned[name] = _team(service, name)
        service.associate("team", owned[name].id, "teammembership_association", [member])
    for name, owner in owned.items():
        service.create(Entity("account", None, {"name": name, "ownerid": owner}))


def _team(service, name):
    unit = EntityReference("businessunit", ROOT_BUSINESS_UNIT_ID)
    return EntityReference("team", service.create(Entity("team", None, {"name": name, "businessunitid": unit})))


@pytest.mark.behaviour("Queries", "Owners are found by the caller's teams and reports", "fetchxml/reference/operators")
@pytest.mark.parametrize(
    ("operator", "names"),
    [
        ("eq-userid", ["Mine"]),
        ("eq-userteams", ["My team's"]),
        ("eq-useroruserteams", ["Mine", "My team's"]),
        ("eq-useroruserhierarchy", ["Mine", "My report's"]),
        ("eq-useroruserhierarchyandteams", ["Mine", "My report's", "My team's", "Their team's"]),
    ],
)
def test_owners_are_seen_from_the_caller(found, owners, operator, names):
    assert found(condition("ownerid", operator)) == names


@pytest.fixture
def years(service):
    """An account of the middle of each month from July 2025 to December 2026, called after it."""
    for month in range(18):
        moment = datetime(2025 + (month + 6) // 12, (month + 6) % 12 + 1, 15, 12, tzinfo=UTC)
        service.create(Entity("account", None, {"name": f"{moment:%Y-%m}", "overriddencreatedon": moment}))


@pytest.mark.behaviour(
    "Queries", "Fiscal years are the calendar's, fiscal periods its quarters", "fetchxml/reference/operators"
)
@pytest.mark.parametrize(
    ("operator", "values", "first", "last"),
    [
        ("last-fiscal-year", (), "2025-07", "2025-12"),
        ("this-fiscal-year", (), "2026-01", "2026-12"),
        ("last-fiscal-period", (), "2026-01", "2026-03"),
        ("this-fiscal-period", (), "2026-04", "2026-06"),
        ("next-fiscal-period", (), "2026-07", "2026-09"),
        ("last-x-fiscal-periods", (2,), "2025-10", "2026-03"),
        ("next-x-fiscal-periods", (2,), "2026-07", "2026-12"),
        ("last-x-fiscal-years", (1,), "2025-07", "2025-12"),
        ("in-fiscal-year", (2026,), "2026-01", "2026-12"),
        ("in-fiscal-period", (1,), "2026-01", "2026-03"),
        ("in-fiscal-period-and-year", (3, 2025), "2025-07", "2025-09"),
        ("in-or-after-fiscal-period-and-year", (2, 2026), "2026-04", "2026-12"),
        ("in-or-before-fiscal-period-and-year", (4, 2025), "2025-07", "2025-12"),
    ],
)
def test_the_fiscal_calendar_says_which_days_a_period_has(found, clock, years, operator, values, first, last):
    """Seen from the fifth of May 2026."""
    clock.advance(datetime(2026, 5, 5, tzinfo=UTC) - clock.now())
    names = found(condition("createdon", operator, *values))
    assert (names[0], names[-1]) == (first, last)


@pytest.mark.parametrize(
    ("operator", "values"),
    [("in-fiscal-period-and-year", (5, 2026)), ("in-fiscal-year", ("x",)), ("in-fiscal-period-and-year", (1,))],
)
def test_a_fiscal_period_there_is_not_is_refused(found, operator, values):
    with pytest.raises(InvalidArgument, match=operator):
        found(condition("createdon", operator, *values))


@pytest.mark.behaviour(
    "Queries", "matchfirstrowusingcrossapply joins the first row that matches", "fetchxml/join-tables"
)
def test_only_the_first_related_row_is_joined(service, fetch, tree):
    for name in ("Zoe", "Amy", "Ben"):
        row = {"firstname": name, "lastname": "X", "parentcustomerid": EntityReference("account", tree["Root"])}
        service.create(Entity("contact", None, row))
    rows = fetch(
        "<fetch><entity name='account'><attribute name='name'/>"
        "<link-entity name='contact' from='parentcustomerid' to='accountid' alias='c' "
        "link-type='matchfirstrowusingcrossapply'><attribute name='firstname'/>"
        "<filter><condition attribute='firstname' operator='ne' value='Zoe'/></filter></link-entity></entity></fetch>"
    )
    assert [(row["name"], row["FirstName"].value) for row in rows] == [("Root", "Amy")]


@pytest.mark.behaviour(
    "Queries",
    "Columns of a matchfirstrowusingcrossapply link come under their schema names, without its alias",
    "fetchxml/join-tables",
)
def test_columns_of_the_first_row_have_schema_names(service, fetch, tree):
    service.create(
        Entity("contact", None, {"lastname": "X", "parentcustomerid": EntityReference("account", tree["Root"])})
    )
    [row] = fetch(
        "<fetch><entity name='account'><attribute name='name'/>"
        "<link-entity name='contact' from='parentcustomerid' to='accountid' "
        "link-type='matchfirstrowusingcrossapply'><attribute name='lastname'/><attribute name='fullname' alias='who'/>"
        "</link-entity></entity></fetch>"
    )
    assert row.keys() == {"name", "accountid", "LastName", "who"}


GROUPED = (
    "<fetch aggregate='true'><entity name='account'><attribute name='accountid' aggregate='count' alias='n'/>"
    "<attribute name='createdon' groupby='true' dategrouping='{}' alias='part'/></entity></fetch>"
)


@pytest.mark.behaviour("Queries", "Dates are grouped by their parts", "fetchxml/aggregate-data")
@pytest.mark.parametrize(
    ("day", "parts"),
    [
        ("2023-03-25", {"week": 12, "fiscal-period": 1, "fiscal-year": 2023, "quarter": 1}),
        ("2023-08-27", {"week": 35, "fiscal-period": 3, "fiscal-year": 2023, "quarter": 3}),
        ("2026-01-01", {"week": 1, "day": 1, "month": 1, "year": 2026}),
    ],
)
def test_the_parts_of_a_date(service, fetch, day, parts):
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=12)
    service.create(Entity("account", None, {"name": "A", "overriddencreatedon": moment}))
    assert {part: fetch(GROUPED.format(part))[0]["part"].value for part in parts} == parts


@pytest.mark.behaviour(
    "Queries", "An aggregate of more rows than its limit is refused with 0x8004e023", "fetchxml/aggregate-data"
)
def test_an_aggregate_has_a_limit(fetch, tree):
    count = "<attribute name='name' aggregate='count' alias='n'/>"
    counted = f"<fetch aggregate='true'{{}}><entity name='account'>{count}</entity></fetch>"
    assert fetch(counted.format(" aggregatelimit='5'"))[0]["n"].value == len(tree)
    with pytest.raises(InvalidArgument, match="AggregateQueryRecordLimit exceeded") as refused:
        fetch(counted.format(" aggregatelimit='4'"))
    assert refused.value.code == 0x8004E023


@pytest.mark.behaviour(
    "Queries", "Fiscal years and periods are shown as such: FY2023, Quarter 1 FY2023", "fetchxml/aggregate-data"
)
def test_fiscal_groups_are_shown_with_their_year(service, fetch):
    for day in ("2022-01-05", "2023-01-05", "2023-03-25"):
        moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
        service.create(Entity("account", None, {"name": "A", "overriddencreatedon": moment}))
    rows = fetch(GROUPED.format("fiscal-period").replace("</entity>", "<order alias='part'/></entity>"))
    assert [(row["part"].value, row.formatted_values["part"], row["n"].value) for row in rows] == [
        (1, "Quarter 1 FY2022", 1),
        (1, "Quarter 1 FY2023", 2),
    ]
    years = fetch(GROUPED.format("fiscal-year"))
    assert {row["part"].value: row.formatted_values["part"] for row in years} == {2022: "FY2022", 2023: "FY2023"}


@pytest.mark.behaviour(
    "Queries",
    "The sum of whole numbers in a group without any is 0, other aggregates are left out",
    "fetchxml/aggregate-data",
)
def test_nothing_adds_up_to_nought(fetch, tree):
    attributes = "".join(
        f"<attribute name='numberofemployees' aggregate='{function}' alias='{function}'/>"
        for function in ("sum", "avg", "max")
    )
    group = "<attribute name='statecode' groupby='true' alias='state'/>"
    [row] = fetch(f"<fetch aggregate='true'><entity name='account'>{attributes}{group}</entity></fetch>")
    assert {alias: row[alias].value for alias in row.keys() - {"state"}} == {"sum": 0}


@pytest.mark.behaviour("Queries", "Amounts are aggregated in the base currency", "common")
def test_amounts_of_several_currencies_are_added_in_the_base_currency(service, fetch):
    yen = next(
        row
        for row in service.retrieve_multiple(QueryExpression("transactioncurrency"))
        if row["isocurrencycode"] == "JPY"
    )
    dollars = Entity("account", None, {"name": "A", "revenue": Money(Decimal(100))})
    service.create(dollars)
    currency = EntityReference("transactioncurrency", yen.id)
    service.create(
        Entity("account", None, {"name": "B", "revenue": Money(Decimal(3000)), "transactioncurrencyid": currency})
    )
    attributes = "".join(
        f"<attribute name='revenue' aggregate='{function}' alias='{function}'/>"
        for function in ("sum", "avg", "min", "max", "countcolumn")
    )
    [row] = fetch(f"<fetch aggregate='true'><entity name='account'>{attributes}</entity></fetch>")
    amounts = {alias: row[alias].value.value for alias in ("sum", "avg", "min", "max")}
    in_dollars = Decimal(3000) / yen["exchangerate"]
    assert amounts == {"sum": 100 + in_dollars, "avg": (100 + in_dollars) / 2, "min": in_dollars, "max": 100}
    assert (row["countcolumn"].value, row.formatted_values["sum"]) == (2, "$120.00")


class TestLinksWithoutColumns:
    """``from`` and ``to`` may be left to Dataverse."""

    def rows(self, fetch, table, link):
        return fetch(f"<fetch><entity name='{table}'><attribute name='{table}id'/>{link}</entity></fetch>")

    @pytest.mark.behaviour(
        "Queries",
        "A link-entity without from and to follows a system many-to-many relationship",
        "fetchxml/reference/link-entity",
    )
    def test_a_system_many_to_many_relationship_is_followed(self, service, fetch):
        team = service.create(Entity("team", None, {"name": "Sales"}))
        service.associate("systemuser", ADMINISTRATOR_ID, "teammembership_association", [EntityReference("team", team)])
        link = "<link-entity name='team' alias='t'><attribute name='name'/></link-entity>"
        rows = self.rows(fetch, "systemuser", link)
        assert [(row.id, row["t.name"].value) for row in rows] == [(ADMINISTRATOR_ID, "Sales")]

    @pytest.mark.behaviour(
        "Queries",
        "A link-entity with from or to alone finds the other by the relationship",
        "fetchxml/reference/link-entity",
    )
    @pytest.mark.parametrize(
        ("table", "link"),
        [
            ("contact", "<link-entity name='account' to='parentcustomerid' alias='a'>{}</link-entity>"),
            (
                "contact",
                "<link-entity name='account' from='accountid' to='parentcustomerid' alias='a'>{}</link-entity>",
            ),
        ],
    )
    def test_a_lookup_is_followed(self, service, fetch, tree, table, link):
        service.create(
            Entity("contact", None, {"lastname": "X", "parentcustomerid": EntityReference("account", tree["Root"])})
        )
        rows = self.rows(fetch, table, link.format("<attribute name='name'/>"))
        assert [row["a.name"].value for row in rows] == ["Root"]

    def test_a_lookup_is_followed_back(self, service, fetch, tree):
        service.create(
            Entity("contact", None, {"lastname": "X", "parentcustomerid": EntityReference("account", tree["Root"])})
        )
        link = (
            "<link-entity name='contact' from='parentcustomerid' alias='c'><attribute name='lastname'/></link-entity>"
        )
        assert [row.id for row in self.rows(fetch, "account", link)] == [tree["Root"]]
