"""Reads and checks the parameters of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from dataverse_client.types import Entity, EntityCollection, OptionSetValue, OrganizationRequest
from runner.emulator.errors import InvalidArgument

T = TypeVar("T")

#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/execute-multiple-requests
MAX_REQUESTS = 1000
_SETTINGS = ("ContinueOnError", "ReturnResponses")


def parameter(parameters: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = parameters.get(name)
    if not isinstance(value, kind):
        given = "is missing" if value is None else f"is {type(value).__name__}"
        raise InvalidArgument(f"Parameter {name!r} {given}; it takes {kind.__name__}.")
    return value


def several(parameters: Mapping[str, Any], name: str, kind: type[T]) -> list[T]:
    """A parameter that is a list of ``kind``. Raises InvalidArgument."""
    values = parameters.get(name)
    if not isinstance(values, EntityCollection | list | tuple):
        given = "is missing" if values is None else f"is {type(values).__name__}"
        raise InvalidArgument(f"Parameter {name!r} {given}; it takes a list of {kind.__name__}.")
    for value in values:
        if not isinstance(value, kind):
            raise InvalidArgument(f"Parameter {name!r} holds {type(value).__name__}; it takes {kind.__name__}.")
    return list(values)


def choice(parameters: Mapping[str, Any], name: str) -> OptionSetValue:
    value = parameters.get(name)
    return OptionSetValue(value) if type(value) is int else parameter(parameters, name, OptionSetValue)


def rows_of(parameters: Mapping[str, Any]) -> list[Entity]:
    parameter(parameters, "Targets", EntityCollection)
    rows = several(parameters, "Targets", Entity)
    if not rows:
        raise InvalidArgument("Parameter 'Targets' contains no row.")
    names = {row.logical_name for row in rows}
    if len(names) > 1:
        raise InvalidArgument(
            f"Parameter 'Targets' has rows of several tables ({', '.join(sorted(names))}); send one at a time."
        )
    return rows


def settings_of(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """ExecuteMultipleSettings. Unknown names are refused, because a misspelled one would be ignored."""
    settings: Mapping[str, Any] = parameters.get("Settings") or {}
    if not isinstance(settings, Mapping):
        raise InvalidArgument(f"Parameter 'Settings' is {type(settings).__name__}; it takes a mapping.")
    for name in settings:
        if name not in _SETTINGS:
            raise InvalidArgument(f"Parameter 'Settings' takes {' and '.join(_SETTINGS)}, not {name!r}.")
    return settings


def requests_of(parameters: Mapping[str, Any]) -> list[OrganizationRequest]:
    requests = several(parameters, "Requests", OrganizationRequest)
    if len(requests) > MAX_REQUESTS:
        raise InvalidArgument(
            f"The request batch size of {len(requests)} exceeds the maximum batch size allowed: {MAX_REQUESTS}."
        )
    return requests
