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

#: How many times in all a step is run that asks for retries (OperationStatus.RETRY).
#: Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.operationstatus
MAX_ATTEMPTS = 4

#: The pause before a job's first retry in real time. Dataverse documents only that there is one.
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
    """An asynchronous step to run, with its context as it was when the operation ended."""

    id: str
    step: Step
    context: PluginContext
    attempt: int = 1

    def row(self) -> Entity:
        """The ``asyncoperation`` row of a job that waits to run."""
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
    """The pause before the next retry: ``back_off`` at first, and twice as long each time."""
    pause: timedelta = back_off * 2 ** (job.attempt - 1)
    return pause


def is_to_be_retried(job: Job, error: Exception | None) -> bool:
    """Whether the step asks for a retry and has attempts left."""
    return _status(error) is OperationStatus.RETRY and job.attempt < MAX_ATTEMPTS


def is_to_be_suspended(error: Exception | None) -> bool:
    """Whether the step asks for its job to wait until a user resumes it."""
    return _status(error) is OperationStatus.SUSPENDED


def failure(error: Exception | None) -> dict[str, OptionSetValue]:
    """The state and status of a job that did not succeed."""
    return CANCELED if _status(error) is OperationStatus.CANCELED else FAILED


def _status(error: Exception | None) -> OperationStatus | None:
    return error.status if isinstance(error, InvalidPluginExecutionException | ServiceBusPostPostponed) else None
