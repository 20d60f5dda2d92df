"""Many rows over the Web API: query options, pages, and filters compared with a plain Python evaluation."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.emulator.seed import currency_id

NAMES = ["Ada", "Bea", "Cleo", "Dora", "Eve"]


@pytest.fixture
def accounts(crm):
    return [
        crm.create("accounts", name=name, revenue=index * 10.5, numberofemployees=index or None)
        for index, name in enumerate(NAMES)
    ]


def names(crm, options, **headers):
    return [row["name"] for row in crm.get(f"accounts?$select=name&$orderby=name&{options}", **headers)["value"]]


@pytest.mark.behaviour("Queries", "`$filter` with its operators and functions", "webapi/query/filter-rows")
@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("name eq 'ada'", ["Ada"]),
        ("revenue gt 10.5 and revenue le 31.5", ["Cleo", "Dora"]),
        ("10.5 lt revenue and not (name eq 'Eve')", ["Cleo", "Dora"]),
        ("contains(name, 'e')", ["Bea", "Cleo", "Eve"]),
        ("startswith(name,'E') or endswith(name,'a')", ["Ada", "Bea", "Dora", "Eve"]),
        ("contains(name,'e%a')", ["Bea"]),
        ("contains(name,'[%]')", []),
        ("startswith(name,'_e')", ["Bea"]),
        ("endswith(name,'[ov]e') or startswith(name,'[a-b]')", ["Ada", "Bea", "Eve"]),
        ("numberofemployees eq null", ["Ada"]),
        ("numberofemployees ne null and numberofemployees lt 2", ["Bea"]),
        ("statecode eq 0 and name ne 'Ada'", ["Bea", "Cleo", "Dora", "Eve"]),
        ('Microsoft.Dynamics.CRM.In(PropertyName=\'name\',PropertyValues=["Ada","Eve"])', ["Ada", "Eve"]),
        (
            'Microsoft.Dynamics.CRM.NotIn(PropertyName=\'numberofemployees\',PropertyValues=["1","2"])',
            ["Ada", "Dora", "Eve"],
        ),
        ('Microsoft.Dynamics.CRM.Between(PropertyName=\'revenue\',PropertyValues=["10","22"])', ["Bea", "Cleo"]),
        ("Microsoft.Dynamics.CRM.EqualUserId(PropertyName='ownerid')", NAMES),
        ("Microsoft.Dynamics.CRM.Today(PropertyName='createdon')", NAMES),
        ("Microsoft.Dynamics.CRM.OlderThanXHours(PropertyName='createdon',PropertyValue=1)", []),
        ("Microsoft.Dynamics.CRM.LastXHours(PropertyName='createdon',PropertyValue=1)", NAMES),
        ("createdon ge 2026-01-01T12:00:00Z and createdon lt 2026-01-02", NAMES),
        ("modifiedon eq createdon", NAMES),
        ("ownerid/lastname eq 'Administrator'", NAMES),
    ],
)
def test_a_filter_finds_its_rows(crm, filter, found):
    assert names(crm, f"$filter={filter}") == found


@pytest.mark.usefixtures("accounts")
def test_a_plus_in_the_query_string_is_a_space(crm):
    query = "%24select=name&%24filter=name+eq+%27Ada%27"
    assert [row["name"] for row in crm.get(f"accounts?{query}")["value"]] == ["Ada"]


@pytest.mark.usefixtures("accounts")
def test_top_takes_the_first_in_the_order_asked_for(crm):
    rows = crm.get("accounts?$select=name&$orderby=revenue desc,name&$top=2")
    assert [row["name"] for row in rows["value"]] == ["Eve", "Dora"]
    assert "@odata.nextLink" not in rows


@pytest.mark.behaviour(
    "Queries", "`@p` stands for a property or a value; without a value it is null", "webapi/query/overview"
)
@pytest.mark.usefixtures("accounts")
def test_aliases_stand_for_properties_and_values(crm):
    rows = crm.get("accounts?$select=name&$orderby=@p1 desc,@p2&$filter=@p1 ne @p3&@p1=revenue&@p2=name&$top=2")
    assert [row["name"] for row in rows["value"]] == ["Eve", "Dora"]


@pytest.mark.behaviour("Queries", "`not` cannot negate a query function", "webapi/use-web-api-functions")
def test_a_query_function_is_not_negated(crm, error_of):
    filter = "not Microsoft.Dynamics.CRM.Last7Days(PropertyName='createdon')"
    status, _, message = error_of(crm.send("GET", f"accounts?$filter={filter}"))
    assert status == 400
    assert message == "Not operator along with the Custom Named Condition operators is not allowed"


@pytest.mark.behaviour(
    "Queries", "Operators of hours and minutes do not take columns of dates alone", "fetchxml/reference/operators"
)
@pytest.mark.parametrize("function", ["LastXHours", "NextXHours", "OlderThanXHours", "OlderThanXMinutes"])
def test_a_date_alone_has_no_hours(crm, error_of, function):
    call = f"Microsoft.Dynamics.CRM.{function}(PropertyName='birthdate',PropertyValue=1)"
    status, _, message = error_of(crm.send("GET", f"contacts?$filter={call}"))
    assert (status, "birthdate" in message) == (400, True)


@pytest.mark.behaviour("Queries", "An amount brings its currency along", "webapi/query/select-columns")
@pytest.mark.usefixtures("accounts")
def test_an_amount_brings_its_currency_along(crm):
    row = crm.get("accounts?$select=revenue&$top=1")["value"][0]
    assert row["_transactioncurrencyid_value"] == currency_id("USD")
    assert "_transactioncurrencyid_value" not in crm.get("accounts?$select=name&$top=1")["value"][0]


@pytest.mark.behaviour("Queries", "`$orderby` sorts lookups by name and choices by number", "webapi/query/order-rows")
def test_a_lookup_is_sorted_by_the_name_it_shows(crm):
    for name, contact, category in (("A", "Zoe", 1), ("B", "Amy", 2)):
        crm.create("accounts", name=name, accountcategorycode=category, primarycontactid={"lastname": contact})

    def ordered(by):
        return [row["name"] for row in crm.get(f"accounts?$select=name&$orderby={by}")["value"]]

    assert ordered("_primarycontactid_value") == ["B", "A"]
    # Their labels are Preferred Customer and Standard.
    assert ordered("accountcategorycode desc") == ["B", "A"]


class TestPages:
    @pytest.mark.usefixtures("accounts")
    def test_every_row_comes_once(self, crm):
        prefer = {"Prefer": "odata.maxpagesize=2"}
        page = crm.get("accounts?$select=name&$orderby=name&$count=true", **prefer)
        seen, sizes = [], []
        while True:
            seen += [row["name"] for row in page["value"]]
            sizes.append(len(page["value"]))
            if "@odata.nextLink" not in page:
                break
            page = crm.get(page["@odata.nextLink"], **prefer)
        assert (seen, sizes) == (NAMES, [2, 2, 1])
        assert page["@odata.count"] == 5

    @pytest.mark.usefixtures("accounts")
    def test_the_link_stays_on_the_host_the_client_used(self, crm):
        page = crm.get("https://localhost:5555/api/data/v9.1/accounts", Prefer="odata.maxpagesize=2")
        assert page["@odata.nextLink"].startswith("https://localhost:5555/api/data/v9.1/accounts?$skiptoken=")

    @pytest.mark.usefixtures("accounts")
    def test_a_row_created_behind_the_page_does_not_move_the_next(self, crm):
        prefer = {"Prefer": "odata.maxpagesize=2"}
        page = crm.get("accounts?$select=name&$orderby=name", **prefer)
        crm.create("accounts", name="Aaron")
        following = crm.get(page["@odata.nextLink"], **prefer)
        assert [row["name"] for row in following["value"]] == ["Cleo", "Dora"]

    @pytest.mark.behaviour("Queries", "With odata.maxpagesize, `$top` is ignored", "webapi/query/page-results")
    @pytest.mark.usefixtures("accounts")
    def test_of_top_and_a_page_size_the_page_size_counts(self, crm):
        page = crm.get("accounts?$select=name&$top=1", Prefer="odata.maxpagesize=2")
        assert len(page["value"]) == 2
        assert "@odata.nextLink" in page

    def test_a_token_of_ones_own_making_is_refused(self, crm):
        assert crm.send("GET", "accounts?$skiptoken=2").status == 400


@pytest.mark.behaviour("Queries", "`$count` counts rows, with a filter too", "webapi/query/count-rows")
@pytest.mark.usefixtures("accounts")
def test_rows_are_counted_whatever_top_leaves_out(crm):
    assert crm.send("GET", "accounts/$count").body == b"5"
    assert crm.get("accounts?$filter=revenue gt 15&$count=true&$top=1")["@odata.count"] == 3


class TestRelatedRows:
    @pytest.fixture
    def order(self, crm):
        order = crm.create("salesorders", name="SO-1")
        for number in (1, 2, 3):
            crm.create("new_payments", new_name=f"P{number}", new_SalesOrderId__bind=f"salesorders({order})")
        crm.create("salesorders", name="SO-2")
        return order

    @pytest.mark.usefixtures("order")
    def test_a_filter_reaches_through_a_lookup(self, crm):
        rows = crm.get("new_payments?$filter=new_SalesOrderId/name eq 'SO-1'&$orderby=new_SalesOrderId/name,new_name")
        assert [row["new_name"] for row in rows["value"]] == ["P1", "P2", "P3"]

    @pytest.mark.usefixtures("order")
    @pytest.mark.parametrize(
        ("filter", "found"),
        [
            ("{}/any()", ["SO-1"]),
            ("not {}/any()", ["SO-2"]),
            ("{}/any(p:p/new_name eq 'P2')", ["SO-1"]),
            ("{}/any(p:p/new_name eq 'P9')", []),
            ("{}/all(p:startswith(p/new_name,'P'))", ["SO-1", "SO-2"]),
            ("{}/all(p:p/new_name eq 'P2')", ["SO-2"]),
            ("{}/any(p:p/ownerid/lastname eq 'Administrator')", ["SO-1"]),
        ],
    )
    def test_a_filter_looks_into_a_collection(self, crm, filter, found):
        collection = _collection(crm, "salesorder", "new_payment")
        rows = crm.get(f"salesorders?$select=name&$orderby=name&$filter={filter.format(collection)}")
        assert [row["name"] for row in rows["value"]] == found

    def test_expand_takes_its_own_options(self, crm, order):
        collection = _collection(crm, "salesorder", "new_payment")
        options = "$select=new_name;$filter=new_name ne 'P1';$orderby=new_name desc;$top=1"
        (row, other) = crm.get(f"salesorders?$select=name&$orderby=name&$expand={collection}({options})")["value"]
        assert [payment["new_name"] for payment in row[collection]] == ["P3"]
        assert other[collection] == []
        nested = f"new_SalesOrderId($select=name;$expand={collection}($select=new_name))"
        payments = crm.get(f"new_payments?$select=new_name&$expand={nested}")["value"]
        assert {payment["new_SalesOrderId"]["salesorderid"] for payment in payments} == {order}
        assert len(payments[0]["new_SalesOrderId"][collection]) == 3


def _collection(crm, referenced, referencing):
    path = f"EntityDefinitions(LogicalName='{referenced}')/OneToManyRelationships"
    (found,) = [
        relationship["ReferencedEntityNavigationPropertyName"]
        for relationship in crm.get(path)["value"]
        if relationship["ReferencingEntity"] == referencing
    ]
    return found


# --- the same answer as plain Python's ---------------------------------------------------------------------------

_rows = st.fixed_dictionaries(
    {
        "name": st.none() | st.sampled_from(["Ada", "ada", "Bo%", "B_b", "[x]", "Zoë", "it's"]),
        "revenue": st.none() | st.decimals(0, 99, places=2),
        "numberofemployees": st.none() | st.integers(0, 5),
        "creditonhold": st.booleans(),
    }
)
_texts = st.sampled_from(["a", "ada", "%", "_", "[x]", "Zoë", "it's", "B"])


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"


def _folded(value):
    return value.casefold() if isinstance(value, str) else value


_TESTS = {
    "eq": lambda held, asked: held == asked,
    "gt": lambda held, asked: held is not None and held > asked,
    "ge": lambda held, asked: held is not None and held >= asked,
    "lt": lambda held, asked: held is not None and held < asked,
    "le": lambda held, asked: held is not None and held <= asked,
}
_WORDS = {
    "contains": lambda held, asked: held is not None and asked in held,
    "startswith": lambda held, asked: held is not None and held.startswith(asked),
    "endswith": lambda held, asked: held is not None and held.endswith(asked),
}


def _number_test(column, values):
    def build(operator, value):
        return f"{column} {operator} {value}", lambda row: _TESTS[operator](row[column], value)

    return st.builds(build, st.sampled_from(list(_TESTS)), values)


def _literally(text):
    """Wildcards in brackets stand for themselves."""
    return re.sub(r"[%_\[]", r"[\g<0>]", text)


def _text_test(function, text):
    return (
        f"{function}(name,{_quoted(_literally(text))})",
        lambda row: _WORDS[function](_folded(row["name"]), _folded(text)),
    )


def _null_test(column):
    return f"{column} eq null", lambda row: row[column] is None


_leaves = st.one_of(
    _number_test("revenue", st.decimals(0, 99, places=2)),
    _number_test("numberofemployees", st.integers(0, 5)),
    st.builds(_text_test, st.sampled_from(list(_WORDS)), _texts),
    st.builds(_null_test, st.sampled_from(["name", "revenue", "numberofemployees"])),
    st.just(("creditonhold eq true", lambda row: row["creditonhold"])),
)


def _both(left, right):
    return f"({left[0]} and {right[0]})", lambda row: left[1](row) and right[1](row)


def _either(left, right):
    return f"({left[0]} or {right[0]})", lambda row: left[1](row) or right[1](row)


_filters = st.recursive(
    _leaves, lambda inner: st.builds(_both, inner, inner) | st.builds(_either, inner, inner), max_leaves=6
)


@settings(max_examples=60)
@given(rows=st.lists(_rows, max_size=7), filter=_filters, size=st.integers(1, 4))
def test_a_filtered_ordered_paged_query_gives_what_python_gives(emulator, crm, rows, filter, size):
    before = emulator.snapshot()
    ids = [crm.create("accounts", **{k: v for k, v in row.items() if v is not None}) for row in rows]
    text, holds = filter
    order = "$orderby=revenue desc,numberofemployees"
    page = crm.get(f"accounts?$select=name&{order}&$filter={quote(text)}", Prefer=f"odata.maxpagesize={size}")
    found = [row["accountid"] for row in page["value"]]
    while "@odata.nextLink" in page:
        page = crm.get(page["@odata.nextLink"], Prefer=f"odata.maxpagesize={size}")
        found += [row["accountid"] for row in page["value"]]
    emulator.restore(before)

    by_id = dict(zip(ids, rows, strict=True))
    assert sorted(found) == sorted(id for id, row in by_id.items() if holds(row))
    ranks = [_rank(by_id[id]) for id in found]
    assert ranks == sorted(ranks)


def _rank(row):
    """No value comes before any value, as in SQL Server: last when descending."""
    revenue, employees = row["revenue"], row["numberofemployees"]
    return -(Decimal(-1) if revenue is None else revenue), -1 if employees is None else employees


class TestRelativeDates:
    @pytest.mark.parametrize(
        ("function", "offset_days", "holds"),
        [
            ("Yesterday", -1, True),
            ("Yesterday", 0, False),
            ("ThisMonth", 5, True),
            ("LastMonth", -10, True),
            ("NextYear", 400, True),
            ("Last7Days", -7, True),
            ("Last7Days", -8, False),
            ("Next7Days", 7, True),
            ("ThisWeek", 0, True),
        ],
    )
    def test_a_named_span_holds_for_the_moments_in_it(self, crm, emulator, function, offset_days, holds):
        emulator.clock.advance(timedelta(days=4))
        moment = emulator.clock.now() + timedelta(days=offset_days)
        crm.create("new_payments", new_name="P", new_paidon=moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
        found = crm.get(f"new_payments?$filter=Microsoft.Dynamics.CRM.{function}(PropertyName='new_paidon')")
        assert bool(found["value"]) is holds

    @pytest.mark.parametrize(("day", "holds"), [("2025-12-31", False), ("2026-01-01", True)])
    def test_on_is_a_whole_day(self, crm, day, holds):
        crm.create("new_payments", new_paidon=datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC).isoformat())
        call = f"Microsoft.Dynamics.CRM.On(PropertyName='new_paidon',PropertyValue='{day}')"
        assert bool(crm.get(f"new_payments?$filter={call}")["value"]) is holds


@pytest.mark.behaviour("Queries", "The query functions of trees, owners and fiscal periods", "webapi/query/filter-rows")
@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("Under(PropertyName='accountid',PropertyValue='{Ada}')", ["Bea", "Cleo"]),
        ("UnderOrEqual(PropertyName='accountid',PropertyValue='{Bea}')", ["Bea", "Cleo"]),
        ("Above(PropertyName='accountid',PropertyValue='{Cleo}')", ["Ada", "Bea"]),
        ("AboveOrEqual(PropertyName='accountid',PropertyValue='{Bea}')", ["Ada", "Bea"]),
        ("NotUnder(PropertyName='accountid',PropertyValue='{Ada}')", ["Ada"]),
        ("EqualUserOrUserHierarchy(PropertyName='ownerid')", ["Ada", "Bea", "Cleo"]),
        ("EqualUserOrUserTeams(PropertyName='ownerid')", ["Ada", "Bea", "Cleo"]),
        ("EqualUserTeams(PropertyName='ownerid')", []),
        ("NotUserId(PropertyName='ownerid')", []),
        ("NotBusinessId(PropertyName='owningbusinessunit')", []),
        ("ThisFiscalYear(PropertyName='createdon')", ["Ada", "Bea", "Cleo"]),
        ("LastXFiscalPeriods(PropertyName='createdon',PropertyValue=2)", []),
        ("InFiscalYear(PropertyName='createdon',PropertyValue=2026)", ["Ada", "Bea", "Cleo"]),
        ("InFiscalPeriodAndYear(PropertyName='createdon',PropertyValue1=2,PropertyValue2=2026)", []),
        ("EqualUserLanguage(PropertyName='numberofemployees')", []),
    ],
)
def test_functions_of_trees_and_periods(crm, function, found):
    ids, parent = {}, {}
    for name in ("Ada", "Bea", "Cleo"):
        ids[name] = crm.create("accounts", name=name, **parent)
        parent = {"parentaccountid__bind": f"/accounts({ids[name]})"}
    condition = f"Microsoft.Dynamics.CRM.{function.format(**ids)}"
    rows = crm.get(f"accounts?$select=name&$orderby=name&$filter={condition}")["value"]
    assert [row["name"] for row in rows] == found


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("parentcustomerid_account ne null", ["of an account"]),
        ("parentcustomerid_contact ne null", ["of a contact"]),
        ("parentcustomerid_account eq null", ["nobody's", "of a contact"]),
        ("_parentcustomerid_value ne null", ["of a contact", "of an account"]),
        ("ownerid ne null", ["nobody's", "of a contact", "of an account"]),
    ],
)
def test_a_property_of_a_polymorphic_lookup_is_null_for_rows_of_other_tables(crm, filter, names):
    account, contact = crm.create("accounts", name="Contoso"), crm.create("contacts", lastname="nobody's")
    crm.create("contacts", lastname="of an account", parentcustomerid_account__bind=f"accounts({account})")
    crm.create("contacts", lastname="of a contact", parentcustomerid_contact__bind=f"contacts({contact})")
    found = crm.get(f"contacts?$select=lastname&$orderby=lastname&$filter={filter}")["value"]
    assert [row["lastname"] for row in found] == names
