"""As whom a request is made, and which custom steps it asks to skip.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/impersonate-another-user-web-api
Source: https://learn.microsoft.com/power-apps/developer/data-platform/bypass-custom-business-logic
"""

from __future__ import annotations

from dataverse_client.types import OrganizationRequest, guid, is_guid
from runner.emulator.call import Bypass
from runner.emulator.emulator import Emulator
from runner.emulator.query.model import ColumnRef, Condition, Operator, Query
from runner.emulator.webapi.faults import BadRequest, Forbidden
from runner.emulator.webapi.http import Request

_CALLER_HEADERS = (("callerobjectid", "azureactivedirectoryobjectid"), ("mscrmcallerid", "systemuserid"))


def caller_of(emulator: Emulator, request: Request, signed_in: str) -> str:
    """The systemuser the request is made as: ``signed_in``, unless a header names another.

    Raises:
      Forbidden: the header names nobody.
    """
    for header, column in _CALLER_HEADERS:
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
    raise Forbidden(f"The {header} header names '{value}', which is no user of this organization.")


def bypass_of(request: Request) -> Bypass | None:
    """The steps the request's headers ask to skip; None is none.

    Raises:
      BadRequest: a header says what it cannot say.
    """
    modes = _words(request.header("mscrm.bypassbusinesslogicexecution"))
    unknown = modes - {"customsync", "customasync"}
    if unknown:
        raise BadRequest("MSCRM.BypassBusinessLogicExecution takes CustomSync, CustomAsync or both, comma-separated.")
    step_ids = _words(request.header("mscrm.bypassbusinesslogicexecutionstepids"))
    old_header = (request.header("mscrm.bypasscustompluginexecution") or "").lower() == "true"
    if not (modes or step_ids or old_header):
        return None
    return Bypass(old_header or "customsync" in modes, "customasync" in modes, frozenset(step_ids))


def _words(header: str | None) -> set[str]:
    return {word.strip().lower() for word in (header or "").split(",") if word.strip()}
