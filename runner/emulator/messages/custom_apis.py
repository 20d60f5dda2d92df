"""The messages of custom APIs, whose main operation is their plug-in.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/custom-api
"""

from __future__ import annotations

from typing import Any

from runner.emulator.call import Call
from runner.emulator.custom_api import CustomApi
from runner.emulator.messages.environment import Environment
from runner.emulator.messages.targets import resolved
from runner.emulator.pipeline.context_copies import copied
from runner.emulator.pipeline.operation import NO_ENTITY, Operation


def call_custom_api(api: CustomApi, engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Call a custom API. Raises InvalidArgument when the parameters are not those declared."""
    api.check_request(parameters)
    parameters = {name: copied(value) for name, value in parameters.items()}
    targets = [resolved(engine, parameters["Target"])] if api.is_about_a_row else []
    operation = Operation(api.name, api.entity or NO_ENTITY, call, parameters, lambda _: {}, targets)
    return api.response(engine.pipe(operation))
