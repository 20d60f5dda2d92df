"""Finds the user that a request is made as, and the custom steps that it bypasses.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/impersonate-another-user-web-api
Source: https://learn.microsoft.com/power-apps/developer/data-platform/bypass-custom-business-logic
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import OrganizationRequest, guid, is_guid
from runner.emulator.call import Bypass
from runner.emulator.emulator import Emulator
from runner.emulator.query.model import ColumnRef, Condition, Operator, Query
from runner.emulator.webapi.faults import Forbidden
from runner.emulator.webapi.http import Request

_OLD_WAY = "BypassCustomPluginExecution"
_BYPASS_HEADERS = {
    f"mscrm.{name.lower()}": name
    for name in ("BypassBusinessLogicExecution", "BypassBusinessLogicExecutionStepIds", _OLD_WAY)
}
_CALLER_HEADERS = {"callerobjectid": "azureactivedirectoryobjectid", "mscrmcallerid": "systemuserid"}


def caller_of(emulator: Emulator, request: Request, signed_in: str) -> str:
    """The systemuser the request is made as: ``signed_in``, unless a header names another.

    Raises:
      Forbidden: there is no such user.
    """
    if request.headers.keys().isdisjoint(_CALLER_HEADERS):
        return signed_in
    for header, column in _CALLER_HEADERS.items():
        value = request.header(header)
        if value:
            return _impersonated(emulator, header, column, value)
    return signed_in


def _impersonated(emulator: Emulator, header: str, column: str, value: str) -> str:
    if is_guid(value):
        where = Condition(ColumnRef(column), Operator.EQUAL, (guid(value),))
        question = OrganizationRequest("RetrieveMultiple", {"Query": Query("systemuser", ("systemuserid",), where)})
        found = emulator.execute(question).results["BusinessEntityCollection"]
        if len(found) == 1:
            return str(found[0].id)
    raise Forbidden(f"The {header} header names '{value}', which is not a user of this organization.")


def bypass_of(request: Request) -> Bypass | None:
    """The steps that the request's headers ask to bypass; None when there are none.

    Raises:
      InvalidArgument: the value of a header is not valid.
    """
    headers = request.headers
    if headers.keys().isdisjoint(_BYPASS_HEADERS):
        return None
    parameters: dict[str, Any] = {name: headers.get(header) for header, name in _BYPASS_HEADERS.items()}
    parameters[_OLD_WAY] = str(parameters[_OLD_WAY]).lower() == "true"
    return Bypass.asked_for(parameters)
