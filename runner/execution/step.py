"""A step: which plug-in runs for which message, when, and with which images.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from dataverse_client.types import EntityReference, guid, is_guid
from runner.plugin import Plugin
from runner.registrations.messages import IMAGES, WITHOUT_STEPS, WITHOUT_TABLE

#: The time limit of a message operation in Dataverse in seconds, including its plug-ins.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/analyze-performance
DEFAULT_TIMEOUT = 120.0

#: WhoAmI, the simplest message, can have steps that are added in code, to try out a pipeline.
_NEVER_RUN = frozenset(map(str.lower, WITHOUT_STEPS - {"WhoAmI"}))
_WITHOUT_TABLE = frozenset(map(str.lower, WITHOUT_TABLE))
_WITH_IMAGES = frozenset(map(str.lower, IMAGES))


class StepError(ValueError):
    """A step that Dataverse would refuse. The message names the step, the reason, and what to change."""


class Stage(IntEnum):
    """The stage of the pipeline at which a step runs. Only a custom API's own plug-in runs at MAIN_OPERATION."""

    PRE_VALIDATION = 10
    PRE_OPERATION = 20
    MAIN_OPERATION = 30
    POST_OPERATION = 40


class Mode(IntEnum):
    """Whether a step runs within the operation or after it, as a system job."""

    SYNCHRONOUS = 0
    ASYNCHRONOUS = 1


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the row for a step. Without ``columns`` it has every column with a value.

    Columns can also be a list, or comma-separated text, as Dataverse stores them.
    """

    alias: str
    kind: Literal["pre", "post", "both"] = "pre"
    columns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", _column_names(self.columns) or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A registered step (``sdkmessageprocessingstep``) with its plug-in instance.

    ``Step(plugin=MyPlugin(), message="Create", entity="account", stage=20)`` is a complete registration: name and id
    are derived from it. Without an ``entity`` it runs for every table. ``timeout`` is in seconds. With ``isolation``
    "process" the plug-in runs in a process of its own, which is killed when the time is up.

    Raises:
      StepError: Dataverse would refuse the combination.
    """

    plugin: Plugin
    message: str
    stage: int
    entity: str | None = None
    mode: int = Mode.SYNCHRONOUS
    rank: int = 1
    filtering_attributes: AbstractSet[str] = frozenset()
    images: Sequence[Image] = ()
    run_as: str | None = None
    name: str = ""
    id: str = ""
    timeout: float = DEFAULT_TIMEOUT
    isolation: Literal["thread", "process"] = "thread"
    #: Delete the system job after it has succeeded.
    async_auto_delete: bool = False
    plugin_name: str = field(init=False)
    reference: EntityReference = field(init=False, repr=False)
    pre_images: tuple[Image, ...] = field(init=False, repr=False)
    post_images: tuple[Image, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.plugin, Plugin):
            raise StepError(f"A step needs its plug-in's instance, as in Step(plugin=MyPlugin()), not {self.plugin!r}.")
        kind = type(self.plugin)
        put = object.__setattr__
        put(self, "plugin_name", f"{kind.__module__}:{kind.__qualname__}")
        put(self, "entity", self.entity.lower() if self.entity else None)
        put(self, "filtering_attributes", frozenset(_column_names(self.filtering_attributes)))
        put(self, "images", tuple(self.images))
        put(self, "name", self.name or f"{self.plugin_name}: {self.message} of {self.entity or 'any Entity'}")
        put(self, "id", guid(self.id) if self.id else self._derived_id())
        put(self, "reference", EntityReference("sdkmessageprocessingstep", self.id, self.name))
        put(self, "pre_images", tuple(image for image in self.images if image.kind != "post"))
        put(self, "post_images", tuple(image for image in self.images if image.kind != "pre"))
        self._refuse_the_impossible()

    def _derived_id(self) -> str:
        key = (
            self.name,
            self.message,
            self.entity,
            self.stage,
            self.mode,
            self.rank,
            *sorted(self.filtering_attributes),
        )
        return str(uuid5(NAMESPACE_URL, "step:" + "|".join(map(str, key))))

    def _refuse_the_impossible(self) -> None:
        for refusal in _refusals(self):
            raise StepError(f"Step {self.name!r}: {refusal}")

    def skips(self, sent_columns: Iterable[str]) -> bool:
        """Whether none of the filtering attributes is among the columns a request sent (in lower case)."""
        return bool(self.filtering_attributes) and self.filtering_attributes.isdisjoint(sent_columns)


def _column_names(given: Iterable[str] | str | None) -> tuple[str, ...]:
    """The names in lower case, like logical names."""
    listed = given.split(",") if isinstance(given, str) else given or ()
    names = (name.strip().lower() for name in listed)
    return tuple(name for name in names if name)


def _refusals(step: Step) -> Iterable[str]:
    message = step.message.lower()
    if message in _NEVER_RUN:
        yield f"{step.message} runs no custom steps. Register the messages it causes, such as Create (0x80044187)."
    if message in _WITHOUT_TABLE and step.entity:
        yield f"{step.message} belongs to no table. Leave out entity, and look at the request (0x80044187)."
    if step.stage not in tuple(Stage):
        yield f"stage {step.stage} cannot be registered. Use 10, 20 or 40 (0x80044184)."
    if step.mode not in tuple(Mode) or isinstance(step.mode, bool):
        yield f"mode {step.mode} is unknown. Use 0 for synchronous, 1 for asynchronous."
    if step.mode == Mode.ASYNCHRONOUS and step.stage != Stage.POST_OPERATION:
        yield "an asynchronous step runs after the operation. Use stage 40 (0x80044184)."
    if not isinstance(step.rank, int) or isinstance(step.rank, bool):
        yield f"rank {step.rank!r} is not valid. Use a whole number."
    if not _is_timeout(step.timeout):
        yield f"timeout {step.timeout!r} is not valid. Use seconds, more than 0."
    if step.isolation not in ("thread", "process"):
        yield f"isolation {step.isolation!r} is unknown. Use 'thread' or 'process'."
    if step.run_as is not None and not is_guid(step.run_as):
        yield f"run_as {step.run_as!r} is not a systemuserid such as 6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11."
    yield from _image_refusals(step, message)


def _is_timeout(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < inf


def _image_refusals(step: Step, message: str) -> Iterable[str]:
    if step.images and message not in _WITH_IMAGES:
        yield f"{step.message} supports no images. Retrieve the row in the plug-in (0x80044189)."
    for image in step.images:
        if image.kind not in ("pre", "post", "both"):
            yield f"image {image.alias!r} is of kind {image.kind!r}. Use 'pre', 'post' or 'both'."
        if not image.alias:
            yield "an image has no alias, which the plug-in needs to read it."
    if step.pre_images and message in ("create", "createmultiple"):
        yield "a row being created has no pre-image. Remove it, or make it a post-image (0x8004416d)."
    if step.post_images and message == "delete":
        yield "a deleted row has no post-image. Make it a pre-image (0x8004416d)."
    if step.post_images and step.stage != Stage.POST_OPERATION:
        yield "there is no post-image before stage 40. Use stage 40, or a pre-image (0x8004416e)."
