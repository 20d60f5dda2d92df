"""Sorts the registered steps by message, table and stage, in the order they run.

A single message and its *Multiple counterpart run each other's steps.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/write-plugin-multiple-operation
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from runner.execution.step import Image, Mode, Stage, Step

#: The messages for one row and for many, in both directions.
COUNTERPARTS = {
    "Create": "CreateMultiple",
    "Update": "UpdateMultiple",
    "CreateMultiple": "Create",
    "UpdateMultiple": "Update",
}
_FILTERED = frozenset({"update", "updatemultiple"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The columns of a row that the images of some steps need together. None means all."""

    columns: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The steps of one message on one table, stage by stage, in the order they run."""

    message: str
    filtered: bool
    pre_validation: tuple[Step, ...]
    pre_operation: tuple[Step, ...]
    main_operation: tuple[Step, ...]
    post_operation: tuple[Step, ...]
    asynchronous: tuple[Step, ...]

    @classmethod
    def of(cls, message: str, steps: Iterable[Step]) -> StepPlan | None:
        """The plan for these steps; None when there are none.

        Dataverse does not document the order of equal ranks; here it is by name, then by id.
        Source: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in#execution-order
        """
        ordered = sorted(steps, key=lambda step: (step.rank, step.name, step.id))
        if not ordered:
            return None

        def at(stage: Stage, mode: Mode = Mode.SYNCHRONOUS) -> tuple[Step, ...]:
            return tuple(step for step in ordered if step.stage == stage and step.mode == mode)

        return cls(
            message,
            message.lower() in _FILTERED and any(step.filtering_attributes for step in ordered),
            at(Stage.PRE_VALIDATION),
            at(Stage.PRE_OPERATION),
            at(Stage.MAIN_OPERATION),
            at(Stage.POST_OPERATION),
            at(Stage.POST_OPERATION, Mode.ASYNCHRONOUS),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.pre_validation + self.pre_operation + self.main_operation + self.post_operation + self.asynchronous


@dataclass(frozen=True, slots=True)
class Plans:
    """The steps of an operation, those of its counterpart, and the snapshots they need."""

    own: StepPlan | None
    counterpart: StepPlan | None
    filtered: bool = field(init=False)
    #: Whether there is any step at that stage.
    pre_validation: bool = field(init=False)
    pre_operation: bool = field(init=False)
    post_operation: bool = field(init=False)
    before_validation: Snapshot | None = field(init=False)
    before: Snapshot | None = field(init=False)
    after: Snapshot | None = field(init=False)
    is_asynchronous: bool = field(init=False)
    after_asynchronous: Snapshot | None = field(init=False)

    def __post_init__(self) -> None:
        plans = tuple(plan for plan in (self.own, self.counterpart) if plan is not None)
        steps = tuple(step for plan in plans for step in plan.steps)
        background = tuple(step for step in steps if step.mode == Mode.ASYNCHRONOUS)
        foreground = tuple(step for step in steps if step.mode == Mode.SYNCHRONOUS)
        put = object.__setattr__
        put(self, "filtered", any(plan.filtered for plan in plans))
        put(self, "pre_validation", any(plan.pre_validation for plan in plans))
        put(self, "pre_operation", any(plan.pre_operation for plan in plans))
        put(self, "post_operation", any(plan.post_operation for plan in plans))
        validating = (step for step in foreground if step.stage == Stage.PRE_VALIDATION)
        put(self, "before_validation", _snapshot(validating, lambda step: step.pre_images))
        within = (step for step in steps if step.stage != Stage.PRE_VALIDATION)
        put(self, "before", _snapshot(within, lambda step: step.pre_images))
        put(self, "after", _snapshot(foreground, lambda step: step.post_images))
        put(self, "is_asynchronous", bool(background))
        put(self, "after_asynchronous", _snapshot(background, lambda step: step.post_images))


def _snapshot(steps: Iterable[Step], images_of: Callable[[Step], tuple[Image, ...]]) -> Snapshot | None:
    images = [image for step in steps for image in images_of(step)]
    if not images:
        return None
    columns: set[str] = set()
    for image in images:
        if image.columns is None:
            return Snapshot(None)
        columns.update(image.columns)
    return Snapshot(tuple(sorted(columns)))


class Steps(Protocol):
    """Finds the steps of a message for the pipeline."""

    def plans(self, message: str, entity: str) -> Plans | None:
        """The steps to run; None when there are none, for the message or its counterpart."""


class StepTable:
    """The steps of each message on each table, cached until a step is added."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._steps = list(steps)
        self._compiled: dict[tuple[str, str], Plans | None] = {}

    def add(self, step: Step) -> None:
        self._steps.append(step)
        self._compiled = {}

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    def plans(self, message: str, entity: str) -> Plans | None:
        """The steps to run; None when there are none, for the message or its counterpart."""
        key = (message, entity)
        try:
            return self._compiled[key]
        except KeyError:
            plans = self._compiled[key] = self._compile(message, entity)
            return plans

    def _compile(self, message: str, entity: str) -> Plans | None:
        own = self._plan(message, entity)
        counterpart = self._plan(COUNTERPARTS[message], entity) if message in COUNTERPARTS else None
        return Plans(own, counterpart) if own or counterpart else None

    def _plan(self, message: str, entity: str) -> StepPlan | None:
        wanted = message.lower()
        return StepPlan.of(
            message,
            (s for s in self._steps if s.message.lower() == wanted and (s.entity is None or s.entity == entity)),
        )
