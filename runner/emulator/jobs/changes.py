"""Validates and completes changes of system jobs: cancel, pause, resume and postpone.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/asynchronous-service#manage-system-job-states
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, OptionSetValue
from runner.emulator.errors import AsyncOperationInvalidStateChange
from runner.emulator.jobs.job import COMPLETED, WAITING

_READY, _SUSPENDED, _LOCKED, _COMPLETED = range(4)

#: For each state that a request can set (to resume, pause or cancel a job): the states in which it is allowed.
_COMES_FROM = {_READY: {_SUSPENDED}, _SUSPENDED: {_LOCKED}, _COMPLETED: {_READY, _SUSPENDED, _LOCKED}}


def complete_change(changes: dict[str, Any], job: Entity) -> None:
    """Set the columns that follow from the requested state. ``job`` holds the current state.

    Raises:
      AsyncOperationInvalidStateChange: the change is not allowed in this state.
    """
    postponed = changes.get("postponeuntil") is not None
    if postponed and "statecode" not in changes:
        changes |= WAITING
    if changes.keys().isdisjoint(("statecode", "statuscode")):
        return
    now, wanted = job["statecode"], changes.get("statecode", job["statecode"])
    if not isinstance(wanted, OptionSetValue) or (wanted == now != COMPLETED):
        return
    if not _is_allowed(now.value, wanted.value, postponed=postponed):
        raise AsyncOperationInvalidStateChange.between(now.value, wanted.value)
    if wanted != COMPLETED:
        changes.setdefault("postponeuntil", None)


def _is_allowed(now: int, wanted: int, *, postponed: bool) -> bool:
    if (now, wanted) == (_READY, _SUSPENDED):
        return postponed
    return now in _COMES_FROM.get(wanted, ())
