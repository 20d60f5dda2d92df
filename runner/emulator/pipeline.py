"""The event execution pipeline: what happens, in which order, inside which transaction. No I/O of its own.

    10 PreValidation    before the transaction of a call from outside; inside that of a call from a plug-in
    20 PreOperation     inside; what a step changes in Target is what gets written
    30 MainOperation    the platform's own work, or a custom API's plug-in
    40 PostOperation    inside; asynchronous steps are written down as jobs, to run once it is committed

Source: https://learn.microsoft.com/power-apps/developer/data-platform/event-framework
"""

from __future__ import annotations

from typing import Any, Protocol

from dataverse_client.types import Entity, EntityReference
from runner.emulator.call import Call
from runner.emulator.images import PRIMARY_NAME_ALIAS, excerpt, image_collection, images_of, with_columns
from runner.emulator.jobs import Job
from runner.emulator.operation import Operation, View
from runner.emulator.operation_trace import told_to
from runner.emulator.plugin_faults import SdkCorrelationTokenDepthTooHigh, TransactionNotStarted, fault_of
from runner.emulator.step_table import Plans, Snapshot, Steps
from runner.emulator.transaction import State
from runner.execution.execution import Execution, run_step
from runner.execution.step import Mode, Stage, Step
from runner.tracing.model import TraceSink

#: Calls may nest this deep; the next one is refused.
#: Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.depth
MAX_DEPTH = 8

#: Messages that leave a row behind to take a post-image of.
_LEAVE_A_ROW = frozenset({"Create", "Update", "CreateMultiple", "UpdateMultiple", "Assign", "SetState"})


class Platform(Protocol):
    """What the pipeline needs done for it."""

    def snapshot(self, reference: EntityReference, columns: tuple[str, ...] | None) -> Entity | None:
        """The row as it is now, or None when there is no such row."""

    def primary_columns(self, entity: str) -> tuple[str, ...]:
        """The id column, and the primary name column if the table has one."""

    def queue(self, job: Job, call: Call) -> None:
        """Write the job down inside the call's transaction."""

    def ended(self, execution: Execution) -> None:
        """A step has run."""


class Pipeline:
    """Takes operations through their stages. ``sink`` hears of every step; None costs nothing."""

    def __init__(self, platform: Platform, steps: Steps, sink: TraceSink | None = None) -> None:
        self._platform = platform
        self._steps = steps
        self._sink = sink

    def run(self, operation: Operation) -> dict[str, Any]:
        """Everything the operation sets in motion, and its output parameters.

        Raises:
          OrganizationServiceFault: a step or the platform refused; the transaction is rolled back.
        """
        if self._sink is None:
            return self._stages(operation)
        with told_to(self._sink, operation):
            return self._stages(operation)

    def _stages(self, operation: Operation) -> dict[str, Any]:
        if operation.call.depth > MAX_DEPTH:
            raise SdkCorrelationTokenDepthTooHigh.of(operation.message, operation.entity, MAX_DEPTH)
        plans = self._steps.plans(operation.message, operation.entity)
        if plans is None:
            return self._main_operation_alone(operation)
        views = operation.views(plans)
        self._pre_validation(operation, plans, views)
        with operation.call.transaction:
            self._pre_operation(operation, plans, views)
            self._main_operation(operation, views)
            self._post_operation(operation, plans, views)
            self._asynchronous(operation, plans, views)
        return operation.outputs

    def _main_operation_alone(self, operation: Operation) -> dict[str, Any]:
        transaction = operation.call.transaction
        if operation.reads or (operation.writes_once and transaction.is_dispensable):
            return operation.main(operation)
        with transaction:
            return operation.main(operation)

    def _pre_validation(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        if plans.before_validation is not None:
            operation.before = self._snapshots(operation, plans.before_validation)
        for view in views:
            self._run_steps(view, view.plan.pre_validation, Stage.PRE_VALIDATION)

    def _pre_operation(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        operation.own_its_targets()
        operation.before = self._snapshots(operation, self._needed_before(operation, plans))
        for view in views:
            view.enter_transaction()
        for view in views:
            self._run_steps(view, view.plan.pre_operation, Stage.PRE_OPERATION)

    def _main_operation(self, operation: Operation, views: list[View]) -> None:
        operation.own_its_targets()
        operation.outputs = operation.main(operation)
        for view in views:
            view.complete()
            self._run_steps(view, view.plan.main_operation, Stage.MAIN_OPERATION)

    def _post_operation(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        operation.after = self._snapshots(operation, plans.after)
        for view in views:
            self._run_steps(view, view.plan.post_operation, Stage.POST_OPERATION)

    def _asynchronous(self, operation: Operation, plans: Plans, views: list[View]) -> None:
        if not plans.is_asynchronous:
            return
        operation.after = self._snapshots(operation, self._needed_after(operation, plans))
        named = self._platform.primary_columns(operation.entity)
        for view in views:
            for step in view.plan.asynchronous:
                if view.concerns(step):
                    facts = _facts(view, step, Stage.POST_OPERATION)
                    _add_primary_name(view, facts, named)
                    self._platform.queue(Job.of(view.seen, step, facts), operation.call)

    # --- one step ------------------------------------------------------------------------------------------

    def _run_steps(self, view: View, steps: tuple[Step, ...], stage: Stage) -> None:
        if not steps:
            return
        for step in steps:
            if not view.chooses or view.concerns(step):
                self._run_step(view, step, stage)
        view.read_back()

    def _run_step(self, view: View, step: Step, stage: Stage) -> None:
        transaction = view.operation.call.transaction
        execution = run_step(step, view.seen, _facts(view, step, stage), view.operation.call, self._sink)
        self._platform.ended(execution)
        if execution.error is not None:
            raise fault_of(execution) from execution.error
        if transaction.state is State.ROLLED_BACK:
            raise TransactionNotStarted.after(step)

    # --- images --------------------------------------------------------------------------------------------

    def _snapshots(self, operation: Operation, wanted: Snapshot | None) -> list[Entity | None]:
        if wanted is None:
            return []
        return [self._platform.snapshot(reference, wanted.columns) for reference in operation.references()]

    def _needed_before(self, operation: Operation, plans: Plans) -> Snapshot | None:
        if plans.is_asynchronous and operation.message not in _LEAVE_A_ROW:
            return with_columns(plans.before, self._platform.primary_columns(operation.entity))
        return plans.before

    def _needed_after(self, operation: Operation, plans: Plans) -> Snapshot | None:
        if operation.message not in _LEAVE_A_ROW:
            return None
        return with_columns(plans.after_asynchronous, self._platform.primary_columns(operation.entity))


def _facts(view: View, step: Step, stage: Stage) -> dict[str, Any]:
    """What a step's context says beyond the operation itself."""
    call = view.operation.call
    facts: dict[str, Any] = {
        "stage": stage,
        "mode": step.mode,
        "owning_extension": step.reference,
        "user_id": step.run_as or call.user_id,
        "is_in_transaction": step.mode == Mode.SYNCHRONOUS and call.transaction.is_active,
        "shared_variables": view.shared,
        "parent_context": view.parent,
    }
    if step.images:
        _add_images(facts, view, step)
    return facts


def _add_images(facts: dict[str, Any], view: View, step: Step) -> None:
    before, after = view.rows_before(), view.rows_after()
    if view.bulk:
        facts["pre_entity_images_collection"] = image_collection(step.pre_images, before)
        facts["post_entity_images_collection"] = image_collection(step.post_images, after)
        return
    if before:
        facts["pre_entity_images"] = images_of(step.pre_images, before[0])
    if after:
        facts["post_entity_images"] = images_of(step.post_images, after[0])


def _add_primary_name(view: View, facts: dict[str, Any], columns: tuple[str, ...]) -> None:
    """The image every asynchronous step carries without having asked for it."""
    if view.bulk:
        return
    kind, rows = "post_entity_images", view.rows_after()
    if not rows:
        kind, rows = "pre_entity_images", view.rows_before()
    if rows and rows[0] is not None:
        facts[kind] = {**facts.get(kind, {}), PRIMARY_NAME_ALIAS: excerpt(rows[0], columns)}
