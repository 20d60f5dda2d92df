"""The messages that add users to a team, and remove them. Their steps are those of AddMembers and RemoveMembers.

Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.addmembersteamrequest
Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.removemembersteamrequest
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import EntityReference
from runner.emulator.call import Call
from runner.emulator.messages.environment import Environment
from runner.emulator.messages.parameters import parameter, several
from runner.emulator.messages.targets import resolved
from runner.emulator.pipeline.operation import Operation
from runner.emulator.query.model import ColumnRef, Condition, Operator, Query

_TEAM, _USER = "team", "systemuser"
_MEMBERSHIP = "teammembership_association"


def add_members(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Add users to a team. Those who are members already stay so.

    Raises:
      ObjectDoesNotExist: there is no such team or user; nobody is added.
    """

    def main(operation: Operation) -> dict[str, Any]:
        team = _team(engine, operation)
        already = _ids_of_members(engine, team)
        members = [member for member in _members(engine, operation) if member.id not in already]
        engine.associations.associate(team, _MEMBERSHIP, members, call.user_id)
        return {}

    return engine.pipe(Operation("AddMembers", _TEAM, call, parameters, main))


def remove_members(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Remove users from a team. Those who are not members stay so.

    Raises:
      ObjectDoesNotExist: there is no such team or user; nobody is removed.
    """

    def main(operation: Operation) -> dict[str, Any]:
        team, members = _team(engine, operation), _members(engine, operation)
        engine.associations.disassociate(team, _MEMBERSHIP, members, call.user_id)
        return {}

    return engine.pipe(Operation("RemoveMembers", _TEAM, call, parameters, main))


def _team(engine: Environment, operation: Operation) -> EntityReference:
    team = resolved(engine, EntityReference(_TEAM, parameter(operation.parameters, "TeamId", str)))
    engine.records.must_exist(team)
    return team


def _ids_of_members(engine: Environment, team: EntityReference) -> frozenset[str]:
    of_team = Condition(ColumnRef("teamid"), Operator.EQUAL, (team.id,))
    rows = engine.records.retrieve_multiple(Query("teammembership", ("systemuserid",), of_team), formatted=False)
    return frozenset(row["systemuserid"] for row in rows)


def _members(engine: Environment, operation: Operation) -> list[EntityReference]:
    ids = dict.fromkeys(several(operation.parameters, "MemberIds", str))
    return [resolved(engine, EntityReference(_USER, id)) for id in ids]
