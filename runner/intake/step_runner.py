"""Runs a step for a notification: as in the embedded Dataverse, but with CRM reached over the Web API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from azure_bridge.clock import Clock
from dataverse_client.client import DataverseClient
from dataverse_client.options import RequestOptions
from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityReference,
    OrganizationRequest,
)
from runner.execution.execution import Execution, run_step
from runner.execution.message_service import MessageService
from runner.execution.services import Services
from runner.execution.step import Stage, Step
from runner.intake.origin import Origin
from runner.intake.targets import targets
from runner.plugin import MessageOperation, PluginContext
from runner.remote_context.context import RemoteContext
from runner.tracing.model import Compensated, TraceSink

T = TypeVar("T")

#: Names of results in the SDK's responses, and their names in the pipeline.
_PIPELINE_NAMES = {"Entity": "BusinessEntity", "EntityCollection": "BusinessEntityCollection"}


@dataclass(frozen=True, slots=True)
class Resources:
    """What all runs share: CRM as the application user, the services for plug-ins, the clock and the trace sink."""

    client: DataverseClient
    services: Services
    clock: Clock
    sink: TraceSink


class RemotePlatform:
    """What a step is given when Dataverse is remote: CRM over the Web API, and its own list of actions to undo."""

    def __init__(
        self, resources: Resources, depth: int, correlation_id: str, before_services: Callable[[], object]
    ) -> None:
        self.clock = resources.clock
        self.depth = depth
        self._resources = resources
        self._correlation_id = correlation_id
        self._before_services = before_services
        self._undoing: list[Callable[[], object]] = []

    def organization_service(self, context: PluginContext, user_id: str | None) -> MessageService:
        """CRM as that user. As the application user for SYSTEM, and when the notification names no user."""
        options = RequestOptions(
            tag=Origin(self.depth + 1).tag(),
            caller_id=None if user_id in (None, EMPTY_GUID) else user_id,
            correlation_id=self._correlation_id,
        )
        return MessageService(partial(_perform, self._resources.client.with_options(options)))

    def service(self, kind: type[T]) -> T:
        provided = self._resources.services.provide(kind)
        self._before_services()
        return provided

    def on_rollback(self, action: Callable[[], object]) -> None:
        self._undoing.append(action)

    @property
    def can_undo(self) -> bool:
        """Whether the step registered anything with ``on_rollback``."""
        return bool(self._undoing)

    def undo(self) -> None:
        """Run the registered actions, last first. One that fails is traced, and the others run nevertheless."""
        while self._undoing:
            action = self._undoing.pop()
            try:
                action()
            except Exception as error:
                self._traced(str(error) or type(error).__name__)
            else:
                self._traced(None)

    def _traced(self, error: str | None) -> None:
        self._resources.sink.record(Compensated(at=self.clock.now(), depth=self.depth, error=error))


def _perform(client: DataverseClient, message: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    results = client.execute(OrganizationRequest(message, parameters)).results
    return {**results, **{_PIPELINE_NAMES[name]: results[name] for name in _PIPELINE_NAMES.keys() & results.keys()}}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a step for a notification. ``changes_of`` holds what the plug-in changed in each target, in order."""

    execution: Execution
    changes_of: Sequence[Mapping[str, Any]]
    platform: RemotePlatform

    @property
    def changes(self) -> Mapping[str, Any]:
        """What the plug-in changed in the first target; notifications on the queue have only one."""
        return self.changes_of[0] if self.changes_of else {}

    def or_raise(self) -> Run:
        """The run itself; if the plug-in failed, everything is undone and its error raised."""
        if self.execution.error is not None:
            self.platform.undo()
            raise self.execution.error
        return self


class StepRunner:
    """Runs steps for notifications. Threads may share it."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def run(
        self,
        step: Step,
        remote: RemoteContext,
        *,
        row: Entity | None = None,
        in_transaction: bool = False,
        before_services: Callable[[], object] = lambda: None,
    ) -> Run:
        """Run ``step`` at the stage it is registered for. ``row`` replaces a Target that was too long to be sent.

        ``before_services`` is called each time before the step is given a service, such as Stripe.

        Raises:
          TooDeepError: the chain of our own writes that led here is too long.
        """
        operation = remote.operation()
        operation.depth = Origin.of(remote.context).depth
        if remote.is_trimmed:
            operation.input_parameters["Target"] = _target(step, operation, row)
        before = _columns(operation)
        platform = RemotePlatform(self._resources, operation.depth, operation.correlation_id, before_services)
        execution = run_step(step, operation, _facts(step, remote, in_transaction), platform, self._resources.sink)
        changes_of = [_changes(*row) for row in zip(before, _columns(operation), strict=False)]
        return Run(execution, changes_of if step.stage < Stage.POST_OPERATION else [{} for _ in changes_of], platform)


def _facts(step: Step, remote: RemoteContext, in_transaction: bool) -> dict[str, Any]:
    """The part of the context that belongs to the step: as our file registers it, not as Dataverse does."""
    told = remote.context
    return {
        "stage": step.stage,
        "mode": step.mode,
        "owning_extension": step.reference,
        "user_id": step.run_as or told.user_id,
        "is_in_transaction": in_transaction,
        "shared_variables": dict(told.shared_variables),
        "parent_context": told.parent_context,
        "pre_entity_images": {alias: image.copy() for alias, image in told.pre_entity_images.items()},
        "post_entity_images": {alias: image.copy() for alias, image in told.post_entity_images.items()},
        "isolation_mode": told.isolation_mode,
    }


def _target(step: Step, operation: MessageOperation, row: Entity | None) -> Entity | EntityReference:
    """The Target for a trimmed notification. What an Update changed is unknown, so all filtering attributes count."""
    if row is None:
        return EntityReference(operation.primary_entity_name, operation.primary_entity_id)
    listens_to = step.filtering_attributes or row.keys()
    chosen = listens_to if operation.message_name == "Update" else row.keys()
    return Entity(row.logical_name, row.id, {column: row[column] for column in chosen if column in row})


def _columns(operation: MessageOperation) -> list[dict[str, Any]]:
    return [dict(target.attributes) for target in targets(operation.input_parameters)]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {column: value for column, value in after.items() if column not in before or before[column] != value}
