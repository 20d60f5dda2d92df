"""Actions whose parameters are rows: Merge, and the members of a team."""

from __future__ import annotations

import pytest

from runner.emulator.seed import ADMINISTRATOR_ID

CRM = "Microsoft.Dynamics.CRM"


def row(table, **columns):
    return {"@odata.type": f"{CRM}.{table}", **columns}


@pytest.mark.behaviour("Web API", "Merge takes the rows Target and Subordinate", "webapi/merge-entity-using-web-api")
def test_two_accounts_are_merged(crm):
    first, second = crm.create("accounts", name="Account 1"), crm.create("accounts", name="Account 2")
    body = {
        "Target": row("account", name="Account 1", accountid=first),
        "Subordinate": row("account", name="Account 2", accountid=second),
        "UpdateContent": row("account", accountnumber="1234"),
        "PerformParentingChecks": False,
    }
    assert crm.post("Merge", body).status == 204
    assert crm.get(f"accounts({first})")["accountnumber"] == "1234"
    merged = crm.get(f"accounts({second})")
    assert (merged["statecode"], merged["merged"], merged["_masterid_value"]) == (1, True, first)


def test_rows_of_two_tables_are_not_merged(crm):
    target = row("account", accountid=crm.create("accounts", name="A"))
    subordinate = row("contact", contactid=crm.create("contacts", lastname="B"))
    refused = crm.post("Merge", {"Target": target, "Subordinate": subordinate, "PerformParentingChecks": False})
    assert refused.status == 400


@pytest.mark.parametrize("body", [{}, {"Target": 1}, {"Target": {"accountid": ADMINISTRATOR_ID}}])
def test_what_is_no_row_is_not_merged(crm, body):
    assert crm.post("Merge", body).status == 400


@pytest.mark.behaviour(
    "Web API", "AddMembersTeam and RemoveMembersTeam are bound to a team", "webapi/reference/addmembersteam"
)
def test_members_of_a_team(crm):
    unit = crm.get("businessunits")["value"][0]["businessunitid"]
    team = crm.create("teams", name="Sales", businessunitid__bind=f"/businessunits({unit})")
    body = {"Members": [row("systemuser", systemuserid=ADMINISTRATOR_ID)]}
    assert crm.post(f"teams({team})/{CRM}.AddMembersTeam", body).status == 204
    assert len(crm.get(f"teams({team})/teammembership_association")["value"]) == 1
    assert crm.post(f"teams({team})/{CRM}.RemoveMembersTeam", body).status == 204
    assert crm.get(f"teams({team})/teammembership_association")["value"] == []


def test_members_are_a_list_of_users(crm):
    unit = crm.get("businessunits")["value"][0]["businessunitid"]
    team = crm.create("teams", name="Sales", businessunitid__bind=f"/businessunits({unit})")
    assert crm.post(f"teams({team})/{CRM}.AddMembersTeam", {"Members": 1}).status == 400
    assert crm.post(f"accounts({crm.create('accounts', name='A')})/{CRM}.AddMembersTeam", {}).status == 404
