"""Makes the contexts of an operation's steps, with their images, and applies the steps' changes."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

from dataverse_client.types import EMPTY_GUID, Entity, EntityCollection, EntityReference, new_guid
from runner.emulator.call import OPTIONAL_PARAMETERS
from runner.emulator.errors import InvalidArgument
from runner.emulator.jobs.job import Job
from runner.emulator.pipeline.context_copies import context_for_job
from runner.emulator.pipeline.images import image_collection, images_of, with_primary_name
from runner.emulator.pipeline.operation import Operation
from runner.emulator.pipeline.step_table import Plans, StepPlan
from runner.execution.step import Mode, Stage, Step
from runner.plugin import INERT_HOST, ExecutionHost, MessageOperation, PluginContext

#: Messages whose stage 10 shared variables are in the parent context from stage 20 on.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/understand-the-data-context#shared-variables
_SHARE_THROUGH_PARENT = frozenset({"Create", "Update", "Delete", "CreateMultiple", "UpdateMultiple"})

#: The platform's name in place of a step.
OBJECT_MODEL = EntityReference(
    "sdkmessageprocessingstep", "9c7f1f1a-6f43-5c6a-9f0e-5c3c6f2d7e30", "ObjectModel Implementation"
)

#: Constants, because looking up a member of an enumeration is slow.
_MAIN_OPERATION, _SYNCHRONOUS = Stage.MAIN_OPERATION, Mode.SYNCHRONOUS


def views_of(operation: Operation, plans: Plans) -> list[View]:
    """The views of an operation: that of its own message, then that of its counterpart."""
    operation.created_on = operation.call.clock.now()
    if plans.filtered:
        operation.sent = [frozenset(map(str.lower, target.attributes)) for target in operation.targets]
    rows, bulk = range(len(operation.targets)), operation.row_parameter == "Targets"
    views = [View(operation, plans.own, rows, bulk=bulk, own=True)] if plans.own else []
    if plans.counterpart and bulk:
        views += [View(operation, plans.counterpart, range(row, row + 1), bulk=False) for row in rows]
    elif plans.counterpart:
        views.append(View(operation, plans.counterpart, rows, bulk=True))
    return views


class View:
    """An operation as the steps of one message see it: its own, or the single or multiple counterpart.

    ``rows`` are the positions of its rows among the operation's targets; with ``bulk`` they are passed as Targets.
    ``seen``, ``parameters`` and ``outputs`` are those of the current stage.
    """

    def __init__(self, operation: Operation, plan: StepPlan, rows: range, bulk: bool, own: bool = False) -> None:
        call = operation.call
        self.operation = operation
        self.plan = plan
        self.rows = rows
        self.bulk = bulk
        self.own = own
        self.row_parameter = "Targets" if bulk else operation.row_parameter if own else "Target"
        #: Whether some of the steps may not apply to the request.
        self.chooses = plan.filtered or call.bypass is not None
        self.parent = call.parent
        self.shared = self._fresh_variables()
        self.seen = self._describe()
        self.parameters = self._parameters()
        self.outputs: dict[str, Any] = {}

    def enter_transaction(self) -> None:
        """After stage 10: move its shared variables, and the request as it left it, into the parent context."""
        if self.plan.message in _SHARE_THROUGH_PARENT:
            self.parent = self.as_parent()
            self.shared = self._fresh_variables()
            self._leave_options_to_the_parent()
        self.refresh()

    def _leave_options_to_the_parent(self) -> None:
        operation = self.operation
        if not OPTIONAL_PARAMETERS.isdisjoint(operation.parameters):
            given = operation.parameters.items()
            operation.parameters = {name: value for name, value in given if name not in OPTIONAL_PARAMETERS}

    def as_parent(self) -> PluginContext:
        """The parent context of the operations that this one causes: stage 30, executed by the platform."""
        seen, parameters, call = self.seen, self.parameters, self.operation.call
        if (origin := call.origin) is not None:
            parameters = dict(origin.parameters)
            seen = replace(seen, message_name=origin.message)
            if origin.row is not None:
                seen.primary_entity_name, seen.primary_entity_id = origin.row.logical_name, origin.row.id
        return PluginContext(
            seen,
            INERT_HOST,
            _MAIN_OPERATION,
            _SYNCHRONOUS,
            OBJECT_MODEL,
            call.user_id,
            True,
            self.shared,
            call.parent,
            parameters,
        )

    def complete(self) -> None:
        """After stage 30: set the outputs, and Target as the platform completed it."""
        self.refresh()
        self.outputs = self._outputs()

    def refresh(self) -> None:
        """Update the view of the rows after the stages before."""
        self.parameters = self._parameters()
        id = self._row_id()
        if id != self.seen.primary_entity_id:
            self.seen = replace(self.seen, primary_entity_id=id)

    def context(self, step: Step, host: ExecutionHost) -> PluginContext:
        """The context of a step at the current stage."""
        call = self.operation.call
        user_id = step.run_as or call.user_id
        context = PluginContext(
            self.seen if user_id == call.user_id else self._seen_by(user_id),
            host,
            step.stage,
            step.mode,
            step.reference,
            user_id,
            call.transaction.is_active and step.mode == _SYNCHRONOUS,
            self.shared,
            self.parent,
            self.parameters,
            self.outputs,
        )
        if step.images:
            self._add_images(context, step)
        return context

    def _seen_by(self, user_id: str) -> MessageOperation:
        """The operation for a step that runs as another user. Raises ObjectDoesNotExist when there is no such user."""
        user = self.operation.call.engine.users.caller(user_id)
        object_id = user.user_azure_active_directory_object_id
        return replace(self.seen, caller=replace(self.seen.caller, user_azure_active_directory_object_id=object_id))

    def _add_images(self, context: PluginContext, step: Step) -> None:
        before, after = self.rows_before(), self.rows_after()
        if self.bulk:
            context.override(
                pre_entity_images_collection=image_collection(step.pre_images, before),
                post_entity_images_collection=image_collection(step.post_images, after),
            )
            return
        if before:
            context.override(pre_entity_images=images_of(step.pre_images, before[0]))
        if after:
            context.override(post_entity_images=images_of(step.post_images, after[0]))

    def job(self, step: Step, named: tuple[str, ...]) -> Job:
        """The job of an asynchronous step, with a copy of the current context.

        ``named`` are the columns of the image that it has without registering it.
        """
        later, id = copy(self), new_guid()
        # The asynchronous service takes the time from the system job's row, which has whole seconds.
        created_on = self.seen.operation_created_on.replace(microsecond=0)
        later.seen = replace(self.seen, operation_id=id, operation_created_on=created_on)
        context = later.context(step, INERT_HOST)
        if not self.bulk:
            self._add_primary_name(context, named)
        return Job(id, step, context_for_job(context))

    def _add_primary_name(self, context: PluginContext, columns: tuple[str, ...]) -> None:
        if after := self.rows_after():
            context.override(post_entity_images=with_primary_name(context.post_entity_images, after[0], columns))
        elif before := self.rows_before():
            context.override(pre_entity_images=with_primary_name(context.pre_entity_images, before[0], columns))

    def read_back(self, step: Step) -> None:
        """Take over what the step, of stage 10 or 20, put into the parameters in place of what was there.

        Raises:
          InvalidArgument: it took away the row the operation is about, or put something else in its place.
        """
        if self.own:
            self.operation.parameters = self.parameters
        if not self.rows:
            return
        given = self.parameters.get(self.row_parameter)
        if self.bulk:
            self._read_back_all(given, step)
        elif given is not self.operation.targets[self.rows[0]]:
            self._replace(self.rows[0], given, step)

    def _read_back_all(self, given: object, step: Step) -> None:
        if not isinstance(given, EntityCollection) or len(given) != len(self.rows):
            raise _refused(step, f"Targets, which it was given with {len(self.rows)} rows", given)
        for row, target in zip(self.rows, given, strict=True):
            known = self.operation.targets[row]
            if target is known:
                continue
            if isinstance(target, Entity) and target.id not in (None, known.id):
                raise _refused(step, f"the row {known.id} of Targets", target)
            self._replace(row, target, step)

    def _replace(self, row: int, target: Any, step: Step) -> None:
        known = self.operation.targets[row]
        kind = Entity if isinstance(known, Entity) else EntityReference
        if not isinstance(target, kind) or target.logical_name != known.logical_name:
            raise _refused(step, f"{self.row_parameter}, {_named(known)}", target)
        if isinstance(target, Entity):
            target.id = target.id or known.id
        self.operation.targets[row] = target

    def concerns(self, step: Step) -> bool:
        """Whether the request has a column in the step's filtering attributes, and does not bypass the step."""
        bypass = self.operation.call.bypass
        if bypass is not None and bypass.skips(step):
            return False
        if not self.plan.filtered or not step.filtering_attributes:
            return True
        return any(not step.skips(self.operation.sent[row]) for row in self.rows)

    def rows_before(self) -> list[Entity | None]:
        return [self.operation.before[row] for row in self.rows] if self.operation.before else []

    def rows_after(self) -> list[Entity | None]:
        return [self.operation.after[row] for row in self.rows] if self.operation.after else []

    def _parameters(self) -> dict[str, Any]:
        operation = self.operation
        parameters = dict(operation.parameters)
        if not operation.targets:
            return parameters
        if not self.own:
            del parameters[operation.row_parameter]
        parameters[self.row_parameter] = self._bulk() if self.bulk else operation.targets[self.rows[0]]
        return parameters

    def _bulk(self) -> EntityCollection:
        return EntityCollection([self.operation.targets[row] for row in self.rows], self.operation.entity)

    def _outputs(self) -> dict[str, Any]:
        outputs = self.operation.outputs
        if self.own:
            return outputs
        if self.plan.message == "CreateMultiple":
            return {"Ids": [outputs["id"]]}
        return {"id": outputs["Ids"][self.rows[0]]} if self.plan.message == "Create" else {}

    def _fresh_variables(self) -> dict[str, Any]:
        tag = self.operation.call.tag
        return {} if tag is None else {"tag": tag}

    def _row_id(self) -> str:
        targets = self.operation.targets
        return targets[self.rows[0]].id or EMPTY_GUID if targets and not self.bulk else EMPTY_GUID

    def _describe(self) -> MessageOperation:
        operation, call = self.operation, self.operation.call
        described = MessageOperation(
            call.engine.organization, call.caller, self.plan.message, operation.entity, self._row_id()
        )
        described.correlation_id = call.correlation_id
        described.operation_id = described.request_id = operation.id
        described.operation_created_on = operation.created_on
        described.depth = call.depth
        return described


def _refused(step: Step, known: str, given: object) -> InvalidArgument:
    """Raised for a step that leaves the operation without the rows it is about."""
    return InvalidArgument(
        f"Step {step.name!r} ({step.plugin_name}) put {_named(given)} in place of {known}. A step may change the "
        "columns of a row, or replace it by a copy: not take it away, add one, or move it."
    )


def _named(value: object) -> str:
    """What a parameter holds, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, EntityCollection):
        return f"a collection of {len(value)} rows"
    if isinstance(value, Entity | EntityReference):
        return f"the {type(value).__name__} {value.logical_name} {value.id}"
    return f"a value of type {type(value).__name__}"
