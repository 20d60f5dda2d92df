"""The event execution pipeline: the order of the stages and the transaction. No I/O of its own.

    10 PreValidation    before the transaction of a call from outside; inside that of a call from a plug-in
    20 PreOperation     inside; a step's changes of Target are written
    30 MainOperation    the platform's own work, or a custom API's plug-in
    40 PostOperation    inside; asynchronous steps become jobs, which run after the commit

Source: https://learn.microsoft.com/power-apps/developer/data-platform/event-framework
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from dataverse_client.types import Entity, EntityReference
from runner.emulator.call import Call
from runner.emulator.jobs.job import Job
from runner.emulator.pipeline.images import with_columns
from runner.emulator.pipeline.operation import Operation
from runner.emulator.pipeline.operation_trace import traced_to
from runner.emulator.pipeline.operation_view import View, views_of
from runner.emulator.pipeline.step_table import Plans, Snapshot, Steps
from runner.emulator.plugin_faults import SdkCorrelationTokenDepthTooHigh, TransactionNotStarted, fault_of
from runner.execution.execution import Execution, execute
from runner.execution.host import StepHost
from runner.execution.step import Stage, Step
from runner.plugin import PluginContext
from runner.tracing.model import TraceSink

#: How deep calls may be nested.
#: Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.depth
MAX_DEPTH = 8

#: Looking up a member in its enumeration costs more than comparing with it.
_PRE_OPERATION = int(Stage.PRE_OPERATION)

#: Messages after which the row exists, so that there can be a post-image.
_LEAVE_A_ROW = frozenset(
    {"Create", "Update", "CreateMultiple", "UpdateMultiple", "Assign", "SetState", "SetStateDynamicEntity"}
)


class PipelineEnvironment(Protocol):
    """What the pipeline needs of the environment it runs in."""

    def snapshot(self, reference: EntityReference, columns: tuple[str, ...] | None) -> Entity | None:
        """The current row, or None when there is no such row."""

    def created(self, target: Entity, columns: tuple[str, ...] | None) -> Entity | None:
        """As :meth:`snapshot`, for a row just created from this Target."""

    def primary_columns(self, entity: str) -> tuple[str, ...]:
        """The id column, and the primary name column if the table has one."""

    def queue(self, job: Job, call: Call) -> None:
        """Store the job inside the call's transaction."""

    def ended(self, context: PluginContext, host: StepHost) -> None:
        """Is called after a step has run."""


class Pipeline:
    """Runs operations through their stages. ``sink``, if there is one, receives a record of every step."""

    def __init__(self, environment: PipelineEnvironment, steps: Steps, sink: TraceSink | None = None) -> None:
        self._environment = environment
        self._steps = steps
        self._sink = sink

    def run(self, operation: Operation) -> dict[str, Any]:
        """Run the operation with all its steps. Returns its output parameters.

        Raises:
          OrganizationServiceFault: a step or the platform refused it; the transaction is rolled back.
        """
        if self._sink is None:
            return self._stages(operation)
        with traced_to(self._sink, operation):
            return self._stages(operation)

    def _stages(self, operation: Operation) -> dict[str, Any]:
        if operation.call.depth > MAX_DEPTH:
            raise SdkCorrelationTokenDepthTooHigh.of(operation.message, operation.entity, MAX_DEPTH)
        plans = self._steps.plans(operation.message, operation.entity)
        if plans is None:
            return self._main_operation_alone(operation)
        views = views_of(operation, plans)
        if plans.pre_validation:
            self._pre_validation(operation, plans, views)
        with operation.call.transaction:
            self._pre_operation(operation, plans, views)
            self._main_operation(operation, plans, views)
            if plans.post_operation:
                self._post_operation(operation, plans, views)
            if plans.is_asynchronous:
                self._asynchronous(operation, plans, views)
        return operation.outputs

    def _main_operation_alone(self, operation: Operation) -> dict[str, Any]:
        transaction = operation.call.transaction
        if operation.reads or (operation.writes_once and transaction.is_dispensable()):
            return operation.main(operation)
        with transaction:
            return operation.main(operation)

    def _pre_validation(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        if plans.before_validation is not None:
            operation.before = self._snapshots(operation, plans.before_validation)
        for position, view in enumerate(views):
            if position:
                view.refresh()
            self._run_steps(view, view.plan.pre_validation)

    def _pre_operation(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        operation.copy_targets()
        if plans.before is not None or plans.is_asynchronous:
            operation.before = self._snapshots(operation, self._needed_before(operation, plans))
        for view in views:
            view.enter_transaction()
            self._run_steps(view, view.plan.pre_operation)

    def _main_operation(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        if plans.pre_operation:
            operation.copy_targets()
        operation.outputs = operation.main(operation)
        for view in views:
            view.complete()
            self._run_steps(view, view.plan.main_operation)

    def _post_operation(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        if plans.after is not None:
            operation.after = self._just_written(operation, plans.after)
        for view in views:
            self._run_steps(view, view.plan.post_operation)

    def _asynchronous(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        operation.after = self._snapshots(operation, self._needed_after(operation, plans))
        named = self._environment.primary_columns(operation.entity)
        for view in views:
            for step in view.plan.asynchronous:
                if view.concerns(step):
                    self._environment.queue(view.job(step, named), operation.call)

    # --- one step ------------------------------------------------------------------------------------------

    def _run_steps(self, view: View, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if not view.chooses or view.concerns(step):
                self._run_step(view, step)
                if step.stage <= _PRE_OPERATION:
                    view.read_back(step)

    def _run_step(self, view: View, step: Step) -> None:
        host = StepHost(step, view.operation.call, self._sink)
        context = view.context(step, host)
        execute(context, host)
        self._environment.ended(context, host)
        if host.error is not None:
            raise fault_of(Execution(context, host)) from host.error
        if view.operation.call.transaction.is_rolled_back:
            raise TransactionNotStarted.after(step)

    # --- images --------------------------------------------------------------------------------------------

    def _snapshots(self, operation: Operation, wanted: Snapshot | None) -> Sequence[Entity | None]:
        if wanted is None:
            return ()
        return [self._environment.snapshot(reference, wanted.columns) for reference in operation.references()]

    def _just_written(self, operation: Operation, wanted: Snapshot) -> Sequence[Entity | None]:
        if operation.message == "Create":
            return [self._environment.created(operation.targets[0], wanted.columns)]
        return self._snapshots(operation, wanted)

    def _needed_before(self, operation: Operation, plans: Plans) -> Snapshot | None:
        if plans.is_asynchronous and operation.message not in _LEAVE_A_ROW:
            return with_columns(plans.before, self._environment.primary_columns(operation.entity))
        return plans.before

    def _needed_after(self, operation: Operation, plans: Plans) -> Snapshot | None:
        if operation.message not in _LEAVE_A_ROW:
            return None
        return with_columns(plans.after_asynchronous, self._environment.primary_columns(operation.entity))
