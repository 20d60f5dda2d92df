"""``GET set?sql=``: what Dataverse's SQL answers, page by page, and what it refuses by name."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

FORMATTED = "OData.Community.Display.V1.FormattedValue"
UNASKED = {"@odata.etag", "accountid"}
NAMED = "OData.Community.Display.V1.AttributeName"


def url(sql, entity_set="accounts"):
    return f"{entity_set}?sql={quote(sql, safe='')}"


@pytest.fixture
def accounts(crm):
    """Five accounts with revenues of 0 to 40; the last two share a primary contact."""
    contact = crm.create("contacts", firstname="Ann", lastname="Lee")
    return [
        crm.create(
            "accounts",
            name=name,
            revenue=index * 10,
            numberofemployees=index % 2 or None,
            **({"primarycontactid__bind": f"/contacts({contact})"} if index > 2 else {}),
        )
        for index, name in enumerate(["Ada", "Bea", "Cleo", "Dora", "Eve"])
    ]


@pytest.fixture
def select(crm, accounts):
    """The rows of a SELECT, as tuples of what was asked for."""

    def rows(sql, **headers):
        answer = crm.get(url(sql), **headers)["value"]
        return [tuple(value for name, value in row.items() if name not in UNASKED) for row in answer]

    return rows


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("name = 'ada'", ["Ada"]),
        ("name <> 'ada' AND revenue < 20", ["Bea"]),
        ("name != N'Eve' AND 20 <= revenue", ["Cleo", "Dora"]),
        ("numberofemployees <> 0", ["Bea", "Dora"]),
        ("NOT numberofemployees = 0", ["Bea", "Dora"]),
        ("numberofemployees IS NULL", ["Ada", "Cleo", "Eve"]),
        ("numberofemployees IS NOT NULL", ["Bea", "Dora"]),
        ("name LIKE '_ea' OR name LIKE '%O%'", ["Bea", "Cleo", "Dora"]),
        ("name NOT LIKE '%e%'", ["Ada", "Dora"]),
        ("name IN ('ada', 'eve')", ["Ada", "Eve"]),
        ("numberofemployees NOT IN (2)", ["Bea", "Dora"]),
        ("revenue BETWEEN 10 AND 20.5", ["Bea", "Cleo"]),
        ("revenue NOT BETWEEN 10 AND 30", ["Ada", "Eve"]),
        ("NOT (revenue >= 10 OR name = 'Eve')", ["Ada"]),
        ("revenue > -1 AND (name = 'Ada' OR (name = 'Eve' AND revenue = 40))", ["Ada", "Eve"]),
        ("name LIKE '[B-C]%'", ["Bea", "Cleo"]),
        ("name = 'it''s; DROP TABLE account --'", []),
    ],
)
def test_a_condition_in_sql_finds_its_rows(select, where, found):
    assert select(f"SELECT name FROM account WHERE {where} ORDER BY name") == [(name,) for name in found]


@pytest.mark.behaviour("Queries", "`?sql=` selects, filters, joins and groups", "dataverse-sql-query")
@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT TOP 2 name FROM account ORDER BY revenue DESC", [("Eve",), ("Dora",)]),
        ("SELECT TOP (1) [name] FROM dbo.[account] ORDER BY 1", [("Ada",)]),
        ("SELECT TOP 0 name FROM account", []),
        ("SELECT TOP 0 COUNT(*) FROM account", []),
        ("select Name as called from Account order by called offset 3 rows", [("Dora",), ("Eve",)]),
        ("SELECT name FROM account ORDER BY name OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY", [("Bea",), ("Cleo",)]),
        ("SELECT DISTINCT numberofemployees n FROM account ORDER BY n", [(None,), (1,)]),
        ("SELECT COUNT(*) FROM account", [(5,)]),
        ("SELECT COUNT(numberofemployees) a, COUNT(DISTINCT numberofemployees) b FROM account", [(2, 1)]),
        ("SELECT MIN(revenue) a, MAX(revenue) b, AVG(revenue) c, SUM(revenue) d FROM account", [(0, 40, 20, 100)]),
        (
            "SELECT numberofemployees, SUM(revenue) total FROM account GROUP BY numberofemployees ORDER BY total DESC",
            [(None, 60), (1, 40)],
        ),
        ("SELECT COUNT(*) n FROM account GROUP BY numberofemployees ORDER BY numberofemployees", [(3,), (2,)]),
        ("SELECT statecode a, statecode b FROM account GROUP BY statecode", [(0, 0)]),
        ("SELECT COUNT(*) n FROM account GROUP BY statecode ORDER BY COUNT(*)", [(5,)]),
        (
            "SELECT a.name, c.fullname FROM account a JOIN contact c ON c.contactid = a.primarycontactid ORDER BY 1",
            [("Dora", "Ann Lee"), ("Eve", "Ann Lee")],
        ),
        (
            "SELECT TOP 3 a.name, c.lastname FROM account a LEFT JOIN contact c ON a.primarycontactid = c.contactid "
            "ORDER BY c.lastname DESC, a.name DESC",
            [("Eve", "Lee"), ("Dora", "Lee"), ("Cleo", None)],
        ),
        (
            "SELECT a.name FROM account a LEFT JOIN contact c ON a.primarycontactid = c.contactid AND c.lastname = 'X' "
            "WHERE c.contactid IS NULL AND a.revenue >= 30 ORDER BY a.name",
            [("Dora",), ("Eve",)],
        ),
        (
            "SELECT c.fullname, COUNT(a.accountid) n FROM account a INNER JOIN contact c "
            "ON a.primarycontactid = c.contactid GROUP BY c.fullname",
            [("Ann Lee", 2)],
        ),
        (
            "SELECT TOP 1 a.name, b.name FROM account a JOIN account b ON a.primarycontactid = b.primarycontactid "
            "WHERE b.name = 'Eve' ORDER BY a.name",
            [("Dora", "Eve")],
        ),
        (
            "SELECT a.name FROM account a JOIN contact c ON a.primarycontactid = c.contactid "
            "JOIN systemuser u ON c.ownerid = u.systemuserid WHERE u.lastname = 'administrator' ORDER BY a.name",
            [("Dora",), ("Eve",)],
        ),
    ],
)
def test_a_select_answers_its_rows_in_order(select, sql, rows):
    assert select(sql) == rows


def test_columns_are_called_as_asked(crm, accounts):
    sql = (
        "SELECT TOP 1 a.name, a.primarycontactid, c.name, c.revenue AS Worth, c.telephone1 "
        "FROM account a JOIN account c ON a.accountid = c.accountid ORDER BY a.name"
    )
    [row] = crm.get(url(sql))["value"]
    assert list(row) == [
        "@odata.etag",
        "accountid",
        "name",
        "primarycontactid",
        "c.name",
        "Worth",
        "telephone1",
    ]


@pytest.mark.behaviour(
    "Web API", "Rows of `?sql=` carry their id and ETag, unless they stand for several", "webapi/query/sql"
)
def test_rows_tell_which_they_are(crm, accounts):
    [row] = crm.get(url("SELECT name FROM account WHERE name = 'Ada'"))["value"]
    assert (row["accountid"], row["@odata.etag"][:3]) == (accounts[0], 'W/"')
    [distinct] = crm.get(url("SELECT DISTINCT name FROM account WHERE name = 'Ada'"))["value"]
    assert distinct == {"name": "Ada"}


@pytest.mark.behaviour(
    "Web API", "What has an alias is annotated with the name of its column: AttributeName", "fetchxml/select-columns"
)
def test_an_alias_tells_its_column(crm, accounts):
    sql = "SELECT a.name AS account_name, a.revenue FROM account AS a WHERE a.name = 'Ada'"
    [row] = crm.get(url(sql), Prefer='odata.include-annotations="*"')["value"]
    assert row[f"account_name@{NAMED}"] == "name"
    assert f"revenue@{NAMED}" not in row
    assert not [key for key in crm.get(url(sql))["value"][0] if NAMED in key]


def test_an_answer_says_what_it_is(crm, accounts):
    answer = crm.get(
        url("SELECT name AS n, revenue FROM account"), Prefer='odata.maxpagesize=2,odata.include-annotations="*"'
    )
    assert answer["@odata.context"].endswith("$metadata#accounts(name,revenue,accountid)")
    assert answer["@Microsoft.Dynamics.CRM.totalrecordcount"] == -1
    assert answer["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] is False
    response = crm.send("GET", url("SELECT name FROM account"), Prefer="odata.maxpagesize=2")
    assert response.headers["Preference-Applied"] == "odata.maxpagesize=2"


@pytest.mark.behaviour("Queries", "`?sql=` reckons dates with DATEADD and GETUTCDATE", "webapi/query/sql")
@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("GETUTCDATE()", True),
        ("DATEADD(day, -3, GETUTCDATE())", False),
        ("DATEADD(month, 1, DATEADD(yy, 1, GETUTCDATE()))", True),
        ("DATEADD(quarter, 4, '2025-12-31 17:00:00')", True),
        ("DATEADD(hh, -1, '2000-01-01')", False),
    ],
)
def test_dates_are_reckoned(crm, accounts, value, found):
    rows = crm.get(url(f"SELECT name FROM account WHERE createdon <= {value}"))["value"]
    assert bool(rows) is found


def test_a_statement_may_end_as_people_end_it(select):
    for end in (";", ";;", "; -- done"):
        assert select(f"SELECT name FROM account WHERE name = 'Ada'{end}") == [("Ada",)]


def test_formatted_values_come_when_asked_for(crm, accounts):
    answer = crm.get(url("SELECT SUM(revenue) total FROM account"), Prefer='odata.include-annotations="*"')
    assert answer["value"] == [{"total": 100, f"total@{FORMATTED}": "$100.00", f"total@{NAMED}": "revenue"}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM account ORDER BY name",
        "SELECT DISTINCT name FROM account ORDER BY name",
        "SELECT name, COUNT(*) n FROM account GROUP BY name ORDER BY name",
        "SELECT a.name FROM account a LEFT JOIN account b ON b.parentaccountid = a.accountid ORDER BY a.name",
    ],
)
def test_pages_are_followed_by_ever_new_cookies(crm, accounts, sql):
    link, found, cookies = url(sql), [], []
    while link:
        answer = crm.get(link, Prefer="odata.maxpagesize=2")
        found += [row["name"] for row in answer["value"]]
        link = answer.get("@odata.nextLink")
        cookies += re.findall("pagingcookie%3D%22(.*?)%22", link or "")
    assert found == ["Ada", "Bea", "Cleo", "Dora", "Eve"]
    assert len(set(cookies)) == 2


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("", "nothing"),
        ("SELECT * FROM account", "SELECT *"),
        ("SELECT a.* FROM account a", "SELECT *"),
        ("SELECT name", "without FROM"),
        ("DELETE FROM account", "DELETE"),
        ("UPDATE account SET name = 'x'", "UPDATE"),
        ("SELECT name FROM account; DROP TABLE account", "2 statements"),
        ("SELECT name FROM account UNION SELECT fullname FROM contact", "UNION"),
        ("WITH a AS (SELECT name FROM account) SELECT name FROM account", "WITH"),
        ("SELECT name FROM (SELECT name FROM account) a", "in place of a table"),
        ("SELECT name FROM account WHERE name IN (SELECT name FROM account)", "sub-query"),
        ("SELECT name FROM account WHERE EXISTS (SELECT 1 FROM contact)", "EXISTS"),
        ("SELECT name FROM account GROUP BY name HAVING COUNT(*) > 1", "HAVING"),
        ("SELECT UPPER(name) FROM account", "UPPER"),
        ("SELECT CASE WHEN revenue > 1 THEN 1 END FROM account", "CASE"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY name) FROM account", "ROW_NUMBER"),
        ("SELECT revenue + 1 FROM account", "revenue + 1"),
        ("SELECT name FROM account WHERE createdon > GETDATE()", "place of a value"),
        ("SELECT name FROM account WHERE createdon > DATEADD(day, 1, modifiedon)", "place of a date"),
        ("SELECT name FROM account WHERE createdon > DATEADD(fortnight, 1, GETUTCDATE())", "FORTNIGHT"),
        ("SELECT name FROM account WHERE createdon > DATEADD(day, 1.5, GETUTCDATE())", "1.5"),
        ("SELECT name FROM account WHERE createdon > DATEADD(year, 9000, GETUTCDATE())", "9000"),
        ("SELECT name FROM account WHERE createdon > DATEADD(day, 1, 'soon')", "soon"),
        ("SELECT name FROM account WHERE modifiedon >= createdon", "modifiedon >= createdon"),
        ("SELECT name FROM account WHERE 1 = 1", "1 in place of a column"),
        (
            "SELECT a.name FROM account a JOIN contact c ON a.primarycontactid = c.contactid AND a.name LIKE 'A%'",
            "a.name LIKE 'A%'",
        ),
        ("SELECT name FROM account WHERE name = NULL", "IS NULL"),
        ("SELECT name FROM account WHERE name LIKE 'x' ESCAPE '!'", "ESCAPE"),
        ("SELECT name FROM account CROSS JOIN contact", "CROSS JOIN"),
        ("SELECT name FROM account, contact", "CROSS JOIN"),
        ("SELECT name FROM account RIGHT JOIN contact ON primarycontactid = contactid", "RIGHT JOIN"),
        ("SELECT name FROM account FULL OUTER JOIN contact ON primarycontactid = contactid", "FULL JOIN"),
        ("SELECT name FROM account JOIN contact ON primarycontactid > contactid", "JOIN of contact"),
        ("SELECT name FROM account JOIN account ON name = name", "'account' twice"),
        ("SELECT name FROM account WITH (NOLOCK)", "HINTS"),
        ("SELECT name FROM account FOR JSON AUTO", "FOR"),
        ("SELECT TOP 10 PERCENT name FROM account", "PERCENT"),
        ("SELECT TOP 5001 name FROM account", "5000"),
        ("SELECT name FROM account OFFSET 5 ROWS", "OFFSET"),
        ("SELECT DISTINCT name FROM account GROUP BY name", "DISTINCT"),
        ("SELECT DISTINCT name FROM account ORDER BY revenue", "DISTINCT"),
        ("SELECT name, COUNT(*) FROM account", "'name' is invalid"),
        ("SELECT name, name FROM account", "'name'"),
        ("SELECT name FROM account ORDER BY 3", "3"),
        ("SELECT name FROM account ORDER BY UPPER(name)", "UPPER"),
        ("SELECT nme FROM account", "nme"),
        ("SELECT x.name FROM account a", "x.name"),
        ("SELECT ownerid FROM account a JOIN contact c ON a.primarycontactid = c.contactid", "Ambiguous"),
        ("SELECT name FROM nothing", "nothing"),
        ("SELECT name FROM sys.account", "sys"),
        ("SELECT fullname FROM contact", "contact"),
        ("SELECT name FROM account WHERE revenue = 'much'", "revenue"),
        ("SELECT name FROM account WHERE (", "cannot be read"),
        ("SELECT name FROM account WHERE name = 'x", "cannot be read"),
        (f"SELECT name FROM account WHERE {'(' * 3000}name = 'x'{')' * 3000}", "too deep"),
        (f"SELECT name FROM account WHERE {' OR '.join(['revenue = 1'] * 501)}", "conditions"),
    ],
)
def test_the_rest_of_sql_is_refused_by_name(crm, error_of, sql, named):
    status, _, message = error_of(crm.send("GET", url(sql)))
    assert status == 400
    assert named in message


def test_options_of_odata_do_not_go_with_sql(crm, error_of):
    status, _, message = error_of(crm.send("GET", url("SELECT name FROM account") + "&$top=1"))
    assert (status, "$top" in message) == (400, True)


def test_what_a_lookup_or_a_choice_shows_can_be_selected(select):
    rows = select(
        "SELECT name, primarycontactidname, a.statuscodename FROM account AS a "
        "WHERE primarycontactidname LIKE 'ann%' ORDER BY name"
    )
    assert rows == [("Dora", "Ann Lee", "Active"), ("Eve", "Ann Lee", "Active")]
