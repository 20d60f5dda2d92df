"""Views: questions somebody saved, asked by their id."""

from __future__ import annotations

import pytest

ACTIVE_ACCOUNTS = "00000000-0000-0000-00aa-000010001002"


def fetch(condition=""):
    return f"<fetch><entity name='contact'><attribute name='lastname'/>{condition}</entity></fetch>"


@pytest.fixture
def contacts(crm):
    """Ada and Bea of an account, Cleo of none."""
    account = crm.create("accounts", name="Contoso")
    for name in ("Ada", "Bea"):
        crm.create("contacts", lastname=name, parentcustomerid_account__bind=f"/accounts({account})")
    crm.create("contacts", lastname="Cleo")
    return f"accounts({account})/contact_customer_accounts"


@pytest.mark.behaviour(
    "Queries", "?savedQuery= answers the rows of a view", "webapi/retrieve-and-execute-predefined-queries"
)
def test_a_view_is_found_by_its_name_and_asked_by_its_id(crm):
    crm.create("accounts", name="Open")
    crm.create("accounts", name="Closed", statecode=1)
    (view,) = crm.get("savedqueries?$select=name,savedqueryid&$filter=name eq 'Active Accounts'")["value"]
    assert view["savedqueryid"] == ACTIVE_ACCOUNTS
    (row,) = crm.get(f"accounts?savedQuery={ACTIVE_ACCOUNTS}")["value"]
    assert row["name"] == "Open"
    assert "accountnumber" not in row


@pytest.mark.behaviour(
    "Queries",
    "?userQuery= answers the rows of a saved search, of any collection of its table",
    "webapi/retrieve-and-execute-predefined-queries",
)
def test_a_saved_search_narrows_a_collection(crm, contacts):
    named = "<filter><condition attribute='lastname' operator='ne' value='Ada'/></filter>"
    search = crm.create("userqueries", name="Not Ada", returnedtypecode="contact", fetchxml=fetch(named))
    assert [row["lastname"] for row in crm.get(f"contacts?userQuery={search}")["value"]] == ["Bea", "Cleo"]
    assert [row["lastname"] for row in crm.get(f"{contacts}?userQuery={search}")["value"]] == ["Bea"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"contacts?savedQuery={ACTIVE_ACCOUNTS}", 400, "is of 'account', not of 'contact'"),
        ("accounts?savedQuery=nonsense", 400, "takes the id of a view"),
        ("accounts?userQuery=00000000-0000-0000-0000-00000000dead", 404, "Does Not Exist"),
        (f"accounts?savedQuery={ACTIVE_ACCOUNTS}&$filter=name eq 'x'", 400, "$filter"),
    ],
)
def test_a_view_that_does_not_fit_is_refused(crm, error_of, path, status, words):
    found, _, message = error_of(crm.send("GET", path))
    assert found == status
    assert words in message
