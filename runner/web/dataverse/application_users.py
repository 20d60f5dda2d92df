"""Application users: the systemuser that an app registration acts as.

Source: https://learn.microsoft.com/power-platform/admin/manage-application-users
"""

from __future__ import annotations

from threading import Lock

from dataverse_client.types import Entity, EntityReference, OptionSetValue, OrganizationRequest
from runner.emulator.emulator import Emulator
from runner.emulator.query.model import ColumnRef, Condition, Operator, Query

_NON_INTERACTIVE = OptionSetValue(4)


class ApplicationUsers:
    """Finds an application's user, and makes it on first sight. Safe to use from several threads."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._one_at_a_time = Lock()

    def of(self, application_id: str) -> str:
        """The id of its systemuser. ``application_id`` is a lower-case GUID."""
        with self._one_at_a_time:
            return self._find(application_id) or self._create(application_id)

    def _find(self, application_id: str) -> str | None:
        where = Condition(ColumnRef("applicationid"), Operator.EQUAL, (application_id,))
        question = OrganizationRequest("RetrieveMultiple", {"Query": Query("systemuser", ("systemuserid",), where)})
        found = self._emulator.execute(question).results["BusinessEntityCollection"]
        return str(found[0].id) if len(found) else None

    def _create(self, application_id: str) -> str:
        columns = {
            "lastname": f"# {application_id}",
            "applicationid": application_id,
            "accessmode": _NON_INTERACTIVE,
            "businessunitid": EntityReference("businessunit", self._emulator.organization.business_unit_id),
        }
        return self._emulator.service().create(Entity("systemuser", attributes=columns))
