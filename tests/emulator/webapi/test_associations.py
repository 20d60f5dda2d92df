"""Links between rows, made and taken away with ``$ref``."""

from __future__ import annotations

import pytest

from runner.emulator.seed import ADMINISTRATOR_ID, INTEGRATION_USER_ID


@pytest.mark.behaviour(
    "Web API",
    "`$ref` adds a row to a collection and takes it out",
    "webapi/associate-disassociate-entities-using-web-api",
)
def test_a_row_is_put_into_a_collection_and_taken_out(crm):
    account, contact = crm.create("accounts", name="Contoso"), crm.create("contacts", lastname="Doe")
    members = f"accounts({account})/contact_customer_accounts"
    assert crm.post(f"{members}/$ref", {"@odata.id": f"contacts({contact})"}).status == 204
    assert [row["contactid"] for row in crm.get(members)["value"]] == [contact]
    assert crm.send("GET", f"{members}/$count").body == b"1"
    assert crm.delete(f"{members}({contact})/$ref").status == 204
    assert crm.get(members)["value"] == []


def test_a_row_is_retrieved_by_way_of_a_collection_it_is_in(crm, error_of):
    account, outsider = crm.create("accounts", name="Contoso"), crm.create("contacts", lastname="Doe")
    member = crm.create("contacts", lastname="Roe", parentcustomerid_account__bind=f"accounts({account})")
    members = f"accounts({account})/contact_customer_accounts"
    assert crm.get(f"{members}({member})?$select=lastname")["lastname"] == "Roe"
    assert error_of(crm.send("GET", f"{members}({outsider})"))[:2] == (404, "0x80040217")
    assert crm.post(f"{members}({member})", {"lastname": "Poe"}).status == 405


class TestManyToMany:
    """Teams and users are linked through an intersect table, and either end can be asked."""

    MEMBERS = "teammembership_association"

    @pytest.fixture
    def teams(self, crm):
        """Team A has two members, team B one of them, team C none."""
        unit = crm.get("businessunits")["value"][0]["businessunitid"]
        bind = f"/businessunits({unit})"
        teams = {name: crm.create("teams", name=name, businessunitid__bind=bind) for name in "ABC"}
        for name, user in (("A", ADMINISTRATOR_ID), ("A", INTEGRATION_USER_ID), ("B", ADMINISTRATOR_ID)):
            self.link(crm, teams[name], user)
        return teams

    def link(self, crm, team, user):
        url = f"teams({team})/{self.MEMBERS}/$ref"
        assert crm.post(url, {"@odata.id": f"systemusers({user})"}).status == 204

    def test_either_end_lists_the_other(self, crm, teams):
        users = crm.get(f"teams({teams['A']})/{self.MEMBERS}?$select=lastname&$orderby=lastname")["value"]
        found = crm.get(f"systemusers({ADMINISTRATOR_ID})/{self.MEMBERS}?$select=name&$orderby=name")["value"]
        assert [user["lastname"] for user in users] == ["Administrator", "Integration"]
        assert [team["name"] for team in found] == ["A", "B"]

    @pytest.mark.usefixtures("teams")
    def test_expand(self, crm):
        options = "$select=lastname;$filter=lastname ne 'Integration'"
        teams = crm.get(f"teams?$select=name&$orderby=name&$expand={self.MEMBERS}({options})")["value"]
        listed = {team["name"]: [user["lastname"] for user in team[self.MEMBERS]] for team in teams}
        assert listed == {"A": ["Administrator"], "B": ["Administrator"], "C": []}

    @pytest.mark.usefixtures("teams")
    @pytest.mark.parametrize(
        ("filter", "found"),
        [
            ("{}/any()", "AB"),
            ("{}/any(u:u/lastname eq 'Integration')", "A"),
            ("{}/all(u:u/lastname eq 'Administrator')", "BC"),
        ],
    )
    def test_a_filter_looks_through_the_link(self, crm, filter, found):
        teams = crm.get(f"teams?$select=name&$orderby=name&$filter={filter.format(self.MEMBERS)}")["value"]
        assert "".join(team["name"] for team in teams) == found

    def test_a_link_is_made_once_and_taken_away(self, crm, teams, error_of):
        members = f"teams({teams['B']})/{self.MEMBERS}"
        again = crm.post(f"{members}/$ref", {"@odata.id": f"systemusers({ADMINISTRATOR_ID})"})
        assert error_of(again)[:2] == (412, "0x80040237")
        assert crm.delete(f"{members}({ADMINISTRATOR_ID})/$ref").status == 204
        assert crm.get(members)["value"] == []

    def test_a_new_row_can_bring_its_links_along(self, crm, teams):
        unit = crm.get("businessunits")["value"][0]["businessunitid"]
        body = {"name": "D", "businessunitid@odata.bind": f"/businessunits({unit})"}
        urls = [f"/systemusers({ADMINISTRATOR_ID})"]
        team = crm.post("teams", {**body, f"{self.MEMBERS}@odata.bind": urls}).headers["OData-EntityId"]
        assert [user["systemuserid"] for user in crm.get(f"{team}/{self.MEMBERS}")["value"]] == [ADMINISTRATOR_ID]
