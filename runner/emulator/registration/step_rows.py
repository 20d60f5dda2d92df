"""Converts steps to rows of the registration tables and back.

Sources: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessageprocessingstep
  https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessageprocessingstepimage
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.errors import AttributeNotFound, InvalidArgument
from runner.emulator.metadata.model import Table
from runner.emulator.metadata.stable_ids import stable_id
from runner.emulator.registration.custom_api_rows import DECLARATIONS
from runner.emulator.registration.sdk_messages import allows_steps
from runner.execution.step import Image, Mode, Stage, Step
from runner.registrations.messages import IMAGES

STEP = "sdkmessageprocessingstep"
IMAGE = "sdkmessageprocessingstepimage"
ENDPOINT = "serviceendpoint"
SECURE_CONFIG = "sdkmessageprocessingstepsecureconfig"

#: Tables whose rows are validated after each write.
CHECKED = frozenset({STEP, IMAGE, ENDPOINT}) | DECLARATIONS

STAGE_NOT_ALLOWED = 0x80044184
STEP_NOT_ALLOWED = 0x80044187
SECURE_CONFIG_NOT_ON_SERVER = 0x80044185
PROPERTY_NOT_VALID = 0x8004416B
IMAGES_NOT_SUPPORTED = 0x80044189
IMAGE_TYPE_NOT_SUPPORTED = 0x8004416D
POST_IMAGE_TOO_EARLY = 0x8004416E

_KINDS: tuple[Literal["pre", "post", "both"], ...] = ("pre", "post", "both")
_OUTLOOK_ONLY = 1
_NAME_LENGTH = 256
_STAGES = (Stage.PRE_VALIDATION, Stage.PRE_OPERATION, Stage.POST_OPERATION)

#: Message -> the parameters that an image can be of; the first is the default.
_IMAGE_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "create": ("Id", "Target"),
    "createmultiple": ("Targets", "Ids"),
    "updatemultiple": ("Targets",),
    "setstate": ("EntityMoniker",),
    "setstatedynamicentity": ("EntityMoniker",),
    "merge": ("Target", "SubordinateId"),
    "send": ("EmailId", "FaxId", "TemplateId"),
    "deliverincoming": ("EmailId",),
    "deliverpromote": ("EmailId",),
}
_TARGET = ("Target",)
_IMAGES = {message.lower(): kinds for message, kinds in IMAGES.items()}


@dataclass(frozen=True, slots=True)
class Listening:
    """The message a step is registered on, and the table; without an ``entity`` it is every table.

    ``is_allowed`` tells whether the message filter allows custom steps.
    """

    message: str
    table: Table | None = None
    entity: str | None = None
    is_allowed: bool = True

    def __str__(self) -> str:
        return f"{self.message} of {self.entity or 'any Entity'}"


# --- a step as rows -------------------------------------------------------------------------------------------


def assembly_row(step: Step) -> Entity:
    """The row for the top-level package of the plug-in's class."""
    name = step.plugin_name.partition(":")[0].partition(".")[0]
    columns = {"name": name, "version": "1.0.0.0", "culture": "neutral"}
    return Entity("pluginassembly", stable_id("pluginassembly", name), columns)


def type_row(step: Step, assembly: Entity) -> Entity:
    """The row for the plug-in's class, as ``module:Class``."""
    name = step.plugin_name
    columns = {"typename": name, "name": name, "friendlyname": name, "assemblyname": assembly["name"]}
    columns["pluginassemblyid"] = assembly.to_entity_reference()
    return Entity("plugintype", plugin_type_id(step), columns)


def plugin_type_id(step: Step) -> str:
    return stable_id("plugintype", step.plugin_name)


def step_row(step: Step, handler: EntityReference, message: str, message_filter: str | None) -> Entity:
    """The row of a step. ``message`` and ``message_filter`` are the ids of the rows it is registered on."""
    columns = {
        "name": str(step.name)[:_NAME_LENGTH],
        "stage": OptionSetValue(step.stage),
        "mode": OptionSetValue(step.mode),
        "rank": step.rank,
        "asyncautodelete": step.async_auto_delete,
        "filteringattributes": ",".join(sorted(step.filtering_attributes)) or None,
        "eventhandler": handler,
        "plugintypeid": handler,
        "sdkmessageid": EntityReference("sdkmessage", message),
        "sdkmessagefilterid": message_filter and EntityReference("sdkmessagefilter", message_filter),
    }
    return Entity(STEP, step.id, columns)


def image_rows(step: Step) -> Iterator[Entity]:
    for number, image in enumerate(step.images):
        columns = {
            "name": image.alias,
            "entityalias": image.alias,
            "imagetype": OptionSetValue(_KINDS.index(image.kind)),
            "messagepropertyname": image_properties(step.message)[0],
            "attributes": None if image.columns is None else ",".join(image.columns),
            "sdkmessageprocessingstepid": step.reference,
        }
        yield Entity(IMAGE, stable_id(step.id, "images", str(number)), columns)


def image_properties(message: str) -> tuple[str, ...]:
    return _IMAGE_PROPERTIES.get(message.lower(), _TARGET)


# --- a row as a step ------------------------------------------------------------------------------------------


def runs_on_server(row: Entity) -> bool:
    deployment = row.get("supporteddeployment")
    return deployment is None or deployment.value != _OUTLOOK_ONLY


def number(row: Entity, column: str) -> int:
    """The value of a required choice. Raises InvalidArgument when it is missing."""
    value = row.get(column)
    if value is None:
        raise InvalidArgument(f"{row.logical_name} {row.get('name')!r} has no {column}.")
    chosen: int = value.value
    return chosen


def names(row: Entity, column: str) -> tuple[str, ...]:
    """The column names in a comma-separated list, in lower case."""
    listed = (name.strip().lower() for name in (row.get(column) or "").split(","))
    return tuple(name for name in listed if name)


def images(rows: Iterable[Entity]) -> tuple[Image, ...]:
    return tuple(
        Image(row.get("entityalias", ""), _KINDS[number(row, "imagetype")], names(row, "attributes") or None)
        for row in rows
    )


def check_step(row: Entity, listening: Listening) -> None:
    """Raise Dataverse's error for a step that it would refuse.

    Raises:
      InvalidArgument: with Dataverse's code.
    """
    step = f"Step {row.get('name')!r}"
    stage, mode = number(row, "stage"), number(row, "mode")
    if stage not in _STAGES:
        raise InvalidArgument(f"{step}: stage {stage} cannot be registered. Use 10, 20 or 40.", code=STAGE_NOT_ALLOWED)
    if mode == Mode.ASYNCHRONOUS and stage != Stage.POST_OPERATION:
        raise InvalidArgument(f"{step}: an asynchronous step needs stage 40.", code=STAGE_NOT_ALLOWED)
    if not listening.is_allowed or not allows_steps(listening.message):
        raise InvalidArgument(f"{step}: custom steps are not allowed on {listening}.", code=STEP_NOT_ALLOWED)
    if not runs_on_server(row) and row.get("sdkmessageprocessingstepsecureconfigid") is not None:
        raise InvalidArgument(
            f"{step}: a secure configuration needs supporteddeployment 0.", code=SECURE_CONFIG_NOT_ON_SERVER
        )
    _check_columns(listening.table, names(row, "filteringattributes"))


def check_image(row: Entity, listening: Listening, stage: int) -> None:
    """Raises InvalidArgument, with Dataverse's code, for an image that the message or stage does not have."""
    image, kind, message = f"Image {row.get('entityalias')!r}", _KINDS[number(row, "imagetype")], listening.message
    kinds = _IMAGES.get(message.lower())
    if kinds is None:
        raise InvalidArgument(f"{image}: {message} supports no images.", code=IMAGES_NOT_SUPPORTED)
    if not ({"pre", "post"} if kind == "both" else {kind}) <= kinds:
        raise InvalidArgument(f"{image}: {message} has no {kind}-image.", code=IMAGE_TYPE_NOT_SUPPORTED)
    if kind != "pre" and stage != Stage.POST_OPERATION:
        raise InvalidArgument(f"{image}: there is no post-image before stage 40.", code=POST_IMAGE_TOO_EARLY)
    _check_property(image, message, row.get("messagepropertyname"))
    _check_columns(listening.table, names(row, "attributes"))


def _check_property(image: str, message: str, name: str | None) -> None:
    properties = image_properties(message)
    if (name or "").lower() not in map(str.lower, properties):
        raise InvalidArgument(
            f"{image}: messagepropertyname of {message} must be {' or '.join(properties)}, not {name}.",
            code=PROPERTY_NOT_VALID,
        )


def _check_columns(table: Table | None, columns: Iterable[str]) -> None:
    for column in columns:
        if table is not None and column not in table.columns:
            raise AttributeNotFound.named(table.logical_name, column)
