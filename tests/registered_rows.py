"""Rows of the registration tables, as the SDK's value types."""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.registration.sdk_messages import filter_id, message_id


def endpoint_row(**columns: Any) -> Entity:
    """A ``serviceendpoint``; whole numbers are its choices."""
    return Entity("serviceendpoint", attributes={"name": "runner", **_with_choices(columns)})


def queue_row(path: str = "dataverse-events") -> Entity:
    """A Service Bus queue that gets JSON."""
    place = {"namespaceaddress": "sb://contoso.servicebus.windows.net/", "path": path}
    key = {"saskeyname": "send", "saskey": "a key of this test"}
    return endpoint_row(contract=6, authtype=2, messageformat=2, **key, **place)


def step_row(endpoint: str, message: str, table: str, *, stage: int = 40, mode: int = 1) -> Entity:
    """A ``sdkmessageprocessingstep`` that tells the endpoint: asynchronously, after the operation, unless told so."""
    columns = {
        "name": f"runner: {message} of {table}",
        "rank": 1,
        "sdkmessageid": EntityReference("sdkmessage", message_id(message)),
        "sdkmessagefilterid": EntityReference("sdkmessagefilter", filter_id(message, table)),
        "eventhandler": EntityReference("serviceendpoint", endpoint),
    }
    return Entity("sdkmessageprocessingstep", attributes={**columns, **_with_choices({"stage": stage, "mode": mode})})


def _with_choices(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: OptionSetValue(value) if type(value) is int else value for name, value in columns.items()}
