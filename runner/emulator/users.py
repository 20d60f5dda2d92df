"""The callers in contexts, cached until a user or business unit changes."""

from __future__ import annotations

from dataclasses import replace

from dataverse_client.types import EMPTY_GUID, EntityReference, guid, is_guid
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.seed import ROOT_BUSINESS_UNIT_ID as _ROOT
from runner.emulator.storage.store import Store
from runner.plugin import Caller

_COLUMNS = ("businessunitid", "azureactivedirectoryobjectid", "applicationid")


class Users:
    def __init__(self, store: Store, records: ReadableRecords) -> None:
        self._store = store
        self._records = records
        self._generation = -1
        self._callers: dict[str, Caller] = {}

    def caller(self, user_id: str) -> Caller:
        """The user as caller. Raises ObjectDoesNotExist when there is no such user."""
        if self._generation != self._store.generation:
            self._callers = {}
            self._generation = self._store.generation
        try:
            return self._callers[user_id]
        except KeyError:
            caller = self._callers[user_id] = self._read(user_id)
            return caller

    def _read(self, user_id: str) -> Caller:
        user_id = guid(user_id) if is_guid(user_id) else user_id
        user = self._records.retrieve(EntityReference("systemuser", user_id), _COLUMNS, formatted=False)
        unit = user.get("businessunitid")
        directory_id = user.get("azureactivedirectoryobjectid", EMPTY_GUID)
        return Caller(
            initiating_user_id=user_id,
            authenticated_user_id=user_id,
            business_unit_id=_ROOT if unit is None else unit.id,
            user_azure_active_directory_object_id=directory_id,
            initiating_user_azure_active_directory_object_id=directory_id,
            initiating_user_application_id=user.get("applicationid", EMPTY_GUID),
            is_application_user="applicationid" in user,
        )


def impersonated(caller: Caller, by: Caller, agent: str) -> Caller:
    """The caller, impersonated by another user (or by nobody else), from the program ``agent``."""
    return replace(caller, authenticated_user_id=by.initiating_user_id, initiating_user_agent=agent)
