"""The message that tells whether a row could change to a state and status reason.

Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.isvalidstatetransitionrequest
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import EntityReference
from runner.emulator.call import Call
from runner.emulator.messages.environment import Environment
from runner.emulator.messages.parameters import parameter
from runner.emulator.messages.reading import reading
from runner.emulator.messages.targets import resolved, table_for
from runner.emulator.metadata.model import Table

_NAME = "IsValidStateTransition"


def _answer(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Raises ObjectDoesNotExist without the row, or MethodNotSupported when the table has no states."""
    row = resolved(engine, parameter(parameters, "Entity", EntityReference))
    table_for(engine, _NAME, row.logical_name)
    engine.records.retrieve(row, ("statecode",), formatted=False)
    state, status = parameter(parameters, "NewState", str), parameter(parameters, "NewStatus", int)
    return {"IsValid": _may_become(engine.store.metadata.tables[row.logical_name], state, status)}


def _may_become(table: Table, state: str, status: int) -> bool:
    """Whether the status reason belongs to the state, which is named by its label or its number."""
    reasons = {option.value: option.state for option in table.columns["statuscode"].options}
    return any(
        reasons.get(status) == option.value
        for option in table.columns["statecode"].options
        if state.lower() in (option.label.lower(), str(option.value))
    )


is_valid_state_transition = reading(_NAME, _answer)
