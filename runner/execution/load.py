"""Makes the steps of a registrations file, with their plug-ins and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.execution.step import Image, Stage, Step
from runner.registrations.identity import custom_api_step, step_id
from runner.registrations.plugins import load_plugin

if TYPE_CHECKING:
    from azure_bridge.secrets import Secrets
    from runner.registrations.model import ImageRegistration, Registrations, StepRegistration


def steps_from(registrations: Registrations, secrets: Secrets) -> list[Step]:
    """The enabled steps of a file, each with its plug-in instance and resolved secret references.

    Raises:
      PluginLoadError: a plug-in cannot be found or made.
      SecretError: a reference cannot be resolved.
      StepError: Dataverse would refuse the step.
    """
    return [_step(registrations, each, secrets) for each in registrations.steps if each.enabled]


def custom_api_steps_from(registrations: Registrations, secrets: Secrets) -> list[Step]:
    """The plug-ins of custom APIs as steps, for a remote environment, which only sends notifications of the calls.

    Raises:
      PluginLoadError, SecretError, StepError: as above.
    """
    return [
        Step(
            plugin=load_plugin(
                api.plugin, secrets.resolve(api.configuration), secrets.resolve(api.secure_configuration)
            ),
            id=step_id(custom_api_step(name)),
            name=custom_api_step(name),
            message=name,
            entity=None if api.entity is None else registrations.logical_name(api.entity),
            stage=Stage.MAIN_OPERATION,
        )
        for name, api in registrations.custom_apis.items()
        if api.plugin
    ]


def _step(registrations: Registrations, registration: StepRegistration, secrets: Secrets) -> Step:
    plugin = load_plugin(
        registration.plugin,
        secrets.resolve(registration.configuration),
        secrets.resolve(registration.secure_configuration),
    )
    return Step(
        plugin=plugin,
        id=step_id(registration.name),
        name=registration.name,
        message=registration.message,
        entity=None if registration.entity is None else registrations.logical_name(registration.entity),
        stage=registration.stage,
        mode=registration.mode,
        rank=registration.rank,
        filtering_attributes=frozenset(registration.filtering_attributes),
        images=tuple(_image(each) for each in registration.images),
        run_as=secrets.resolve(registration.run_as),
        timeout=registration.timeout,
        isolation=registration.isolation,
    )


def _image(registration: ImageRegistration) -> Image:
    return Image(registration.alias, registration.type, registration.attributes or None)
