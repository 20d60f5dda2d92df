"""Steps of the file as rows of ``sdkmessageprocessingstep``, and their images.

A deferred step is told of after the commit, whatever stage it declares: it becomes an asynchronous PostOperation step,
and the runner replays it as its own stage. An inline step is a synchronous webhook at the stage it declares.

Sources: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in
  https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessageprocessingstepimage
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataverse_client.types import EntityReference, OptionSetValue, guid, is_guid
from runner.registrations.deploy.endpoints import DEFAULT_ENDPOINT
from runner.registrations.deploy.problems import UndeployableError
from runner.registrations.deploy.rows import IMAGE, STEP, Listening, Row
from runner.registrations.identity import custom_api_step, image_id, remote_name, step_id
from runner.registrations.model import ASYNCHRONOUS, SYNCHRONOUS

if TYPE_CHECKING:
    from azure_bridge.secrets import Secrets
    from runner.registrations.model import ImageRegistration, Registrations, StepRegistration

POST_OPERATION = 40
ENABLED, DISABLED = 0, 1

IMAGE_TYPES = {"pre": 0, "post": 1, "both": 2}

#: Message -> the parameter that holds the row an image is of; Target for all others.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in#define-entity-images
_IMAGE_PROPERTIES = {
    "Create": "Id",
    "CreateMultiple": "Ids",
    "UpdateMultiple": "Targets",
    "SetState": "EntityMoniker",
    "SetStateDynamicEntity": "EntityMoniker",
    "Send": "EmailId",
    "DeliverIncoming": "EmailId",
    "DeliverPromote": "EmailId",
}


@dataclass(frozen=True, slots=True)
class RemoteStep:
    """A step as an environment should have it. Its row lacks the ids of what it listens to: they are the environment's.

    ``row`` and ``images`` are what is compared.
    """

    row: Row
    listening: Listening
    images: tuple[Row, ...] = ()


def remote_steps(registrations: Registrations, endpoints: Mapping[str, Row], secrets: Secrets) -> list[RemoteStep]:
    """A remote step for every step of the file, disabled ones too, and for every custom API that has a plug-in.

    Raises:
      UndeployableError: what a step runs as is no user's id.
      SecretError: a reference cannot be resolved.
    """
    steps = [_step(registrations, each, endpoints, secrets) for each in registrations.steps]
    with_plugins = [name for name, api in registrations.custom_apis.items() if api.plugin]
    return steps + [_api_step(registrations, name, endpoints) for name in with_plugins]


def _api_step(registrations: Registrations, api: str, endpoints: Mapping[str, Row]) -> RemoteStep:
    """The plug-in of a custom API, told of it after the commit."""
    entity = registrations.custom_apis[api].entity
    listening = Listening(api, registrations.logical_name(entity) if entity else None)
    handler = custom_api_step(api)
    columns: dict[str, Any] = {
        "name": remote_name(handler, listening.message, listening.table),
        "rank": 1,
        "eventhandler": endpoints[DEFAULT_ENDPOINT].reference,
        **_registered_at(POST_OPERATION, ASYNCHRONOUS, enabled=True),
    }
    return RemoteStep(Row(STEP, step_id(handler), columns), listening)


def _step(
    registrations: Registrations, step: StepRegistration, endpoints: Mapping[str, Row], secrets: Secrets
) -> RemoteStep:
    table = None if step.entity is None else registrations.logical_name(step.entity)
    inline = step.delivery == "inline"
    columns: dict[str, Any] = {
        "name": remote_name(step.name, step.message, table),
        "rank": step.rank,
        "filteringattributes": ",".join(sorted(step.filtering_attributes)) or None,
        "eventhandler": endpoints[step.endpoint or DEFAULT_ENDPOINT].reference,
        "impersonatinguserid": _user(step, secrets),
        **_registered_at(
            *((step.stage, SYNCHRONOUS) if inline else (POST_OPERATION, ASYNCHRONOUS)), enabled=step.enabled
        ),
    }
    row = Row(STEP, step_id(step.name), columns)
    images = tuple(_image(row, step.message, each) for each in step.images)
    return RemoteStep(row, Listening(step.message, table), images)


def _user(step: StepRegistration, secrets: Secrets) -> EntityReference | None:
    user = secrets.resolve(step.run_as)
    if not user:
        return None
    if not is_guid(user):
        # What the reference stands for may be a secret that was put in the wrong place.
        raise UndeployableError([f"{step.name}: run_as, {step.run_as}, stands for no user's id. Give a systemuserid."])
    return EntityReference("systemuser", guid(user))


def _registered_at(stage: int, mode: int, *, enabled: bool) -> dict[str, Any]:
    return {
        "stage": OptionSetValue(stage),
        "mode": OptionSetValue(mode),
        # Or the system jobs of what went well pile up.
        "asyncautodelete": mode == ASYNCHRONOUS,
        "supporteddeployment": OptionSetValue(0),
        "statecode": OptionSetValue(ENABLED if enabled else DISABLED),
    }


def _image(step: Row, message: str, image: ImageRegistration) -> Row:
    """What its id is derived from never changes: an image of another kind is another image."""
    holder = _IMAGE_PROPERTIES.get(message, "Target")
    columns = {
        "name": image.alias,
        "entityalias": image.alias,
        "imagetype": OptionSetValue(IMAGE_TYPES[image.type]),
        "messagepropertyname": holder,
        "attributes": ",".join(sorted(image.attributes)) or None,
        "sdkmessageprocessingstepid": step.reference,
    }
    return Row(IMAGE, image_id(step.id, image.type, image.alias, holder), columns)
