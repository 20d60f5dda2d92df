"""Finds the registered steps that a notification is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.execution.load import custom_api_steps_from, steps_from
from runner.execution.step import Image, Mode, Step
from runner.intake.targets import targets
from runner.plugin import PluginContext

if TYPE_CHECKING:
    from azure_bridge.secrets import Secrets
    from runner.registrations.model import Registrations


@dataclass(frozen=True, slots=True)
class RemoteStep:
    """A step, and whether Dataverse calls it ``inline``: as a synchronous webhook inside its transaction."""

    step: Step
    inline: bool = False


class StepDirectory:
    """The registered steps. A notification that names none of them is for all steps that match it."""

    def __init__(self, steps: Iterable[RemoteStep]) -> None:
        self._steps = sorted(steps, key=lambda each: (each.step.stage, each.step.rank))
        self._by_id = {each.step.id: each for each in self._steps}
        self._by_name = {each.step.name: each for each in self._steps}

    @classmethod
    def of(cls, registrations: Registrations, secrets: Secrets) -> StepDirectory:
        """The enabled steps of a registrations file. Raises PluginLoadError, SecretError or StepError."""
        enabled = [each for each in registrations.steps if each.enabled]
        steps = steps_from(registrations, secrets)
        remote = [RemoteStep(step, each.delivery == "inline") for step, each in zip(steps, enabled, strict=True)]
        return cls([*remote, *map(RemoteStep, custom_api_steps_from(registrations, secrets))])

    def __iter__(self) -> Iterator[RemoteStep]:
        return iter(self._steps)

    def __getitem__(self, step_id: str) -> RemoteStep:
        """The step with this id. Raises KeyError when it is not registered."""
        return self._by_id[step_id]

    def named(self, step_id: str) -> RemoteStep | None:
        """The step with this id; None when it is not registered."""
        return self._by_id.get(step_id)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that deferred steps name, in alphabetical order."""
        return tuple(sorted({each.step.entity for each in self._steps if each.step.entity and not each.inline}))

    def images(self, message: str, table: str) -> tuple[Image, ...]:
        """The images that the deferred steps of a message and table register."""
        steps = [each.step for each in self._steps if not each.inline]
        return tuple(
            image
            for step in steps
            if step.message.lower() == message.lower() and step.entity == table
            for image in step.images
        )

    def matching(self, context: PluginContext) -> tuple[RemoteStep, ...]:
        """The step its OwningExtension names; else, when it was registered by hand, those it fits, in order."""
        extension = context.owning_extension
        # The usual name of a remote step: <handler>: <Message> of <table>.
        handler = (extension.name or "").removesuffix(f": {context.message_name} of {context.primary_entity_name}")
        named = self._by_id.get(extension.id) or self._by_name.get(handler)
        if named is not None:
            return (named,)
        fitting = [each for each in self._steps if _fits(each.step, context)]
        inline = [each for each in fitting if each.inline and _is_at(each.step, context)]
        return tuple(inline or [each for each in fitting if not each.inline])


def _fits(step: Step, context: PluginContext) -> bool:
    if step.message.lower() != context.message_name.lower():
        return False
    if step.entity not in (None, context.primary_entity_name):
        return False
    rows = targets(context.input_parameters)
    return not rows or not all(step.skips(row.keys()) for row in rows)


def _is_at(step: Step, context: PluginContext) -> bool:
    return context.mode == Mode.SYNCHRONOUS and step.stage == context.stage
