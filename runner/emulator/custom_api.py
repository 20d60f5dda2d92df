"""Custom APIs: messages that a user declares, whose main operation is a plug-in.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/custom-api
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

from dataverse_client.types import Entity, EntityCollection, EntityReference, Money, OptionSetValue, is_guid
from runner.emulator.call import OPTIONAL_PARAMETERS
from runner.emulator.errors import InvalidArgument
from runner.execution.step import Stage, Step
from runner.plugin import Plugin
from runner.registrations.plugins import load_plugin

if TYPE_CHECKING:
    from azure_bridge.secrets import Secrets
    from runner.registrations.model import CustomApiRegistration, Registrations


#: Source: https://learn.microsoft.com/dotnet/api/system.int32
_SMALLEST, _GREATEST = -(2**31), 2**31 - 1


class ParameterType(Enum):
    """``CustomAPIRequestParameter.Type``: its number and its Python type."""

    BOOLEAN = (0, bool)
    DATE_TIME = (1, datetime)
    DECIMAL = (2, Decimal)
    ENTITY = (3, Entity)
    ENTITY_COLLECTION = (4, EntityCollection)
    ENTITY_REFERENCE = (5, EntityReference)
    FLOAT = (6, float)
    INTEGER = (7, int)
    MONEY = (8, Money)
    PICKLIST = (9, OptionSetValue)
    STRING = (10, str)
    STRING_ARRAY = (11, tuple)
    GUID = (12, str)

    def __init__(self, number: int, python_type: type) -> None:
        self.number = number
        self.python_type = python_type

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is of the type. Unlike in Python, ``bool`` is not a number."""
        if isinstance(value, bool):
            return self is ParameterType.BOOLEAN
        is_one = isinstance(value, (self.python_type, _AS_GOOD.get(self, ())))
        return is_one and (self not in _CONDITIONS or _CONDITIONS[self][1](value))

    def __str__(self) -> str:
        """The type in words, for messages."""
        condition = _CONDITIONS[self][0] if self in _CONDITIONS else ""
        return f"{self.python_type.__name__}{condition}"


#: Other types that are accepted because nothing is lost.
_AS_GOOD: Mapping[ParameterType, type] = {
    ParameterType.DECIMAL: int,
    ParameterType.FLOAT: int,
    ParameterType.STRING_ARRAY: list,
}

#: A further condition on values, in words and as a test.
_CONDITIONS: Mapping[ParameterType, tuple[str, Callable[[Any], bool]]] = {
    ParameterType.DATE_TIME: (" with a time zone", lambda moment: moment.tzinfo is not None),
    ParameterType.INTEGER: (" of 32 bits", lambda number: _SMALLEST <= number <= _GREATEST),
    ParameterType.STRING_ARRAY: (" of str", lambda texts: all(isinstance(text, str) for text in texts)),
    ParameterType.GUID: (" that is a GUID", is_guid),
}

#: The types by Dataverse's names, as used in registrations.yaml.
_TYPES = {"".join(word.title() for word in kind.name.split("_")): kind for kind in ParameterType}


@dataclass(frozen=True, slots=True)
class RequestParameter:
    type: ParameterType
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomApi:
    """A message with a unique name. ``entity`` binds it to a table: its Target is then a reference to a row.

    With ``on_collection`` it is bound to the entity set instead, and has no Target. Without a plug-in it is an event,
    on which steps can be registered.
    """

    name: str
    plugin: Plugin | None = None
    entity: str | None = None
    request_parameters: Mapping[str, RequestParameter] = field(default_factory=dict)
    response_properties: Mapping[str, ParameterType] = field(default_factory=dict)
    is_function: bool = False
    on_collection: bool = False
    #: Left out of ``$metadata``.
    is_private: bool = False

    @property
    def is_about_a_row(self) -> bool:
        return self.entity is not None and not self.on_collection

    def step(self) -> Step | None:
        """The step of the main operation, with its plug-in; None without one."""
        if self.plugin is None:
            return None
        return Step(plugin=self.plugin, message=self.name, entity=self.entity, stage=Stage.MAIN_OPERATION)

    def check_request(self, parameters: Mapping[str, Any]) -> None:
        """Raises InvalidArgument when the parameters are not those declared."""
        declared = dict(self.request_parameters)
        if self.is_about_a_row:
            declared["Target"] = RequestParameter(ParameterType.ENTITY_REFERENCE)
        for name in parameters:
            if name not in declared and name not in OPTIONAL_PARAMETERS:
                raise InvalidArgument(f"{self.name} has no request parameter {name!r}.")
        for name, parameter in declared.items():
            value = parameters.get(name)
            if value is None and not parameter.optional:
                raise InvalidArgument(f"{self.name} needs request parameter {name!r}.")
            if value is not None:
                self._check_type("request parameter", name, parameter.type, value)
        if self.is_about_a_row and parameters["Target"].logical_name != self.entity:
            raise InvalidArgument(f"{self.name} is bound to {self.entity}, not to {parameters['Target'].logical_name}.")

    def response(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of the plug-ins that are declared. Raises InvalidArgument when one has another type."""
        answered = {name: outputs[name] for name in self.response_properties if outputs.get(name) is not None}
        for name, value in answered.items():
            self._check_type("response property", name, self.response_properties[name], value)
        return {name: tuple(value) if isinstance(value, list) else value for name, value in answered.items()}

    def _check_type(self, what: str, name: str, expected: ParameterType, value: object) -> None:
        if not expected.accepts(value):
            is_one = isinstance(value, expected.python_type) and not isinstance(value, bool)
            expectation = (
                f"{expected}, not {value!r}"
                if is_one
                else f"{expected.python_type.__name__}, not {type(value).__name__}"
            )
            raise InvalidArgument(f"{self.name}: {what} {name!r} takes {expectation}.")


def custom_apis_from(registrations: Registrations, secrets: Secrets) -> list[CustomApi]:
    """The custom APIs of a registrations file, each with its plug-in made and its secret references resolved.

    Raises:
      PluginLoadError: a plug-in cannot be found or made.
      SecretError: a reference cannot be resolved.
    """
    return [_custom_api(name, each, registrations, secrets) for name, each in registrations.custom_apis.items()]


def _custom_api(
    name: str, registration: CustomApiRegistration, registrations: Registrations, secrets: Secrets
) -> CustomApi:
    return CustomApi(
        name=name,
        plugin=load_plugin(
            registration.plugin,
            secrets.resolve(registration.configuration),
            secrets.resolve(registration.secure_configuration),
        )
        if registration.plugin
        else None,
        entity=registrations.logical_name(registration.entity) if registration.entity else None,
        request_parameters={
            key: RequestParameter(_TYPES[parameter.type], parameter.optional)
            for key, parameter in registration.request_parameters.items()
        },
        response_properties={key: _TYPES[kind] for key, kind in registration.response_properties.items()},
        is_function=registration.is_function,
    )
