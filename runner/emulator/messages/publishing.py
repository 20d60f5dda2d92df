"""The messages that publish customizations, which take effect at once here, so that only their steps run.

Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.publishallxmlrequest
"""

from __future__ import annotations

from typing import Any

from runner.emulator.call import Call
from runner.emulator.messages.environment import Environment, Handler
from runner.emulator.messages.parameters import parameter
from runner.emulator.messages.reading import reading


def _publish(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    parameter(parameters, "ParameterXml", str)
    return {}


def _publish_all(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return {}


#: Steps are registered for Publish and PublishAll.
PUBLISHING_MESSAGES: tuple[tuple[str, Handler], ...] = (
    ("PublishXml", reading("Publish", _publish)),
    ("PublishAllXml", reading("PublishAll", _publish_all)),
)
