"""Members of teams, by message."""

from __future__ import annotations

import pytest

from dataverse_client.types import Entity, EntityReference, QueryExpression, new_guid
from runner.emulator.errors import InvalidArgument, ObjectDoesNotExist
from runner.emulator.seed import ADMINISTRATOR_ID, INTEGRATION_USER_ID

BOTH = [ADMINISTRATOR_ID, INTEGRATION_USER_ID]


@pytest.fixture
def team(crm, service):
    unit = EntityReference("businessunit", crm.organization.business_unit_id)
    return service.create(Entity("team", None, {"name": "Sales", "businessunitid": unit}))


@pytest.fixture
def members(service):
    def of(team):
        rows = service.retrieve_multiple(QueryExpression.of("teammembership", where={"teamid": team}))
        return {row["systemuserid"] for row in rows}

    return of


@pytest.mark.behaviour(
    "Messages",
    "AddMembersTeam adds users to a team, RemoveMembersTeam removes them",
    "https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.addmembersteamrequest",
)
def test_members_come_and_go(send, team, members):
    assert send("AddMembersTeam", TeamId=team, MemberIds=BOTH) == {}
    assert members(team) == set(BOTH)
    assert send("RemoveMembersTeam", TeamId=team, MemberIds=[ADMINISTRATOR_ID]) == {}
    assert members(team) == {INTEGRATION_USER_ID}


def test_a_member_stays_one(send, team, members):
    send("AddMembersTeam", TeamId=team, MemberIds=[ADMINISTRATOR_ID])
    send("AddMembersTeam", TeamId=team, MemberIds=BOTH)
    assert members(team) == set(BOTH)


def test_who_is_no_member_is_not_removed(send, team, members):
    send("RemoveMembersTeam", TeamId=team, MemberIds=BOTH)
    assert members(team) == set()


def test_nobody_is_added_with_a_user_that_there_is_not(send, team, members):
    with pytest.raises(ObjectDoesNotExist):
        send("AddMembersTeam", TeamId=team, MemberIds=[ADMINISTRATOR_ID, new_guid()])
    assert members(team) == set()


@pytest.mark.parametrize("message", ["AddMembersTeam", "RemoveMembersTeam"])
def test_a_team_must_exist_even_for_nobody(send, message):
    with pytest.raises(ObjectDoesNotExist):
        send(message, TeamId=new_guid(), MemberIds=[])


@pytest.mark.parametrize("parameters", [{"TeamId": 1}, {"MemberIds": "x"}, {"MemberIds": ["x"]}])
def test_what_is_no_team_and_no_member_is_refused(send, team, parameters):
    with pytest.raises(InvalidArgument):
        send("AddMembersTeam", **{"TeamId": team, "MemberIds": BOTH, **parameters})


@pytest.mark.behaviour(
    "Messages",
    "The steps of AddMembersTeam are registered for AddMembers, of RemoveMembersTeam for RemoveMembers",
    "common",
)
def test_steps_have_shorter_names(send, ran, team):
    ran("AddMembers", entity="team")
    messages = ran("RemoveMembers", entity="team")
    send("AddMembersTeam", TeamId=team, MemberIds=BOTH)
    send("RemoveMembersTeam", TeamId=team, MemberIds=BOTH)
    assert messages == ["AddMembers", "RemoveMembers"]
