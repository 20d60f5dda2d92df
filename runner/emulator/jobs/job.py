"""System jobs: asynchronous steps as rows of ``asyncoperation``, run after their transaction is committed.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/asynchronous-service
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, OptionSetValue
from runner.emulator.metadata.regarding import NEVER_REGARDED
from runner.emulator.notifications.faults import ServiceBusPostPostponed
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, OperationStatus, PluginContext

#: How often a step that asks for it (OperationStatus.RETRY) is run in all.
#: Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.operationstatus
MAX_ATTEMPTS = 4

#: How long a job waits at first that asks to be retried, where time is the world's. Dataverse says only that it waits.
#: Source: https://www.microsoft.com/dynamics-365/blog/no-audience/2009/03/25/when-do-asynchronous-jobs-fail-suspend-or-retry
BACK_OFF = timedelta(minutes=1)

_SYSTEM_EVENT = 1
_NAME_LENGTH = 256

SUSPENDED = OptionSetValue(1)
COMPLETED = OptionSetValue(3)

READY = {"statecode": OptionSetValue(0), "statuscode": OptionSetValue(0)}
WAITING = {"statecode": SUSPENDED, "statuscode": OptionSetValue(10)}
IN_PROGRESS = {"statecode": OptionSetValue(2), "statuscode": OptionSetValue(20)}
SUCCEEDED = {"statecode": COMPLETED, "statuscode": OptionSetValue(30)}
FAILED = {"statecode": COMPLETED, "statuscode": OptionSetValue(31)}
CANCELED = {"statecode": COMPLETED, "statuscode": OptionSetValue(32)}


@dataclass(frozen=True, slots=True)
class Job:
    """An asynchronous step to run, and what it will be told: what there was when the operation ended."""

    id: str
    step: Step
    context: PluginContext
    attempt: int = 1

    def row(self) -> Entity:
        """The ``asyncoperation`` row of a job that waits for its turn."""
        context = self.context
        columns = {
            "name": self.step.name[:_NAME_LENGTH],
            "operationtype": OptionSetValue(_SYSTEM_EVENT),
            "messagename": context.message_name,
            "primaryentitytype": context.primary_entity_name,
            "depth": context.depth,
            "correlationid": context.correlation_id,
            "requestid": context.request_id,
            "owningextensionid": self.step.reference,
            "regardingobjectid": _regarding(context),
            "ownerid": EntityReference("systemuser", context.user_id),
            "retrycount": 0,
            **READY,
        }
        return Entity("asyncoperation", self.id, columns)

    def retried(self) -> Job:
        return replace(self, attempt=self.attempt + 1)


def _regarding(context: PluginContext) -> EntityReference | None:
    if context.primary_entity_id == EMPTY_GUID or context.primary_entity_name in NEVER_REGARDED:
        return None
    return EntityReference(context.primary_entity_name, context.primary_entity_id)


def pause_before_next(job: Job, back_off: timedelta) -> timedelta:
    """How long a job that is to be retried waits: ``back_off`` at first, each time twice as long."""
    pause: timedelta = back_off * 2 ** (job.attempt - 1)
    return pause


def is_to_be_retried(job: Job, error: Exception | None) -> bool:
    """Only a step that asks for it is run again, and not without end."""
    return _status(error) is OperationStatus.RETRY and job.attempt < MAX_ATTEMPTS


def is_to_be_suspended(error: Exception | None) -> bool:
    """A step may ask for its job to wait until somebody resumes it."""
    return _status(error) is OperationStatus.SUSPENDED


def failure(error: Exception | None) -> dict[str, OptionSetValue]:
    """The state of a job that did not succeed."""
    return CANCELED if _status(error) is OperationStatus.CANCELED else FAILED


def _status(error: Exception | None) -> OperationStatus | None:
    return error.status if isinstance(error, InvalidPluginExecutionException | ServiceBusPostPostponed) else None
