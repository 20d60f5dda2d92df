"""Ids of the rows that a file registers in an environment. They are derived from names, so no state has to be kept.

A row whose id follows from its own name was registered from such a file; a row with any other id was not. Changing a
step's stage or filter therefore changes its row, and renaming the step creates another one.
"""

from __future__ import annotations

from uuid import UUID, uuid5

_NAMESPACE = UUID("b0a5c9c4-8d0e-5a0a-9a55-3f9f2f3b7d61")

#: Dataverse's limit for the name of a step.
MAX_NAME = 256


def step_id(name: str) -> str:
    """The ``sdkmessageprocessingstepid`` of the step of that name in the file."""
    return _id("sdkmessageprocessingstep", name)


def image_id(step: str, *facts: str) -> str:
    """The ``sdkmessageprocessingstepimageid`` of an image: its step's id, and what cannot change about it."""
    return _id("sdkmessageprocessingstepimage", step, *facts)


def endpoint_id(name: str) -> str:
    """The ``serviceendpointid`` of the endpoint of that name in the file."""
    return _id("serviceendpoint", name)


def custom_api_id(name: str) -> str:
    """The ``customapiid`` of the custom API of that unique name in the file."""
    return _id("customapi", name)


def api_member_id(table: str, api: str, *facts: str) -> str:
    """The id of a request parameter or response property: its API's name, and what cannot change about it."""
    return _id(table, api, *facts)


def custom_api_step(name: str) -> str:
    """What the step is called that runs the plug-in of a custom API."""
    return f"Custom API {name}"


def remote_name(handler: str, message: str, table: str | None) -> str:
    """What Dataverse calls a step: ``<handler>: <Message> of <table>``, as the registration tools name theirs."""
    return f"{handler}: {message} of {table or 'any Entity'}"


def handler_of(name: str) -> str | None:
    """The file's name of a step, from Dataverse's; None for one that is named otherwise."""
    handler, separator, rest = name.rpartition(": ")
    return handler if separator and " of " in rest else None


def _id(*names: str) -> str:
    # A line break cannot be part of a name, so that no two lists of names read the same.
    return str(uuid5(_NAMESPACE, "\n".join(names)))
