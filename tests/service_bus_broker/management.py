"""The request-response operations of an entity: ``queue/$management``.

Source: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from proton import Array, Data, Message, int32, symbol

from service_bus_broker import wire
from service_bus_broker.entity import Entity, LockLost

_VENDOR = "com.microsoft:"


class Refused(Exception):
    def __init__(self, status: int, condition: str, description: str) -> None:
        super().__init__(description)
        self.status, self.condition = status, condition


def answer(entity: Entity, request: Message) -> Message:
    """The response to one request."""
    operation = _operation(request)
    try:
        if operation not in _OPERATIONS:
            raise Refused(501, "amqp:not-implemented", f"{operation} is not among what the stand-in does.")
        body = _OPERATIONS[operation](entity, request.body)
    except LockLost as error:
        return reply(request, 410, f"The lock {error} is lost.", "com.microsoft:message-lock-lost")
    except Refused as error:
        return reply(request, error.status, str(error), error.condition)
    return reply(request, 204 if body is None else 200, "OK", body=body)


def is_settlement(request: Message) -> bool:
    return _operation(request) == "update-disposition"


def _operation(request: Message) -> str:
    return str(request.properties["operation"]).removeprefix(_VENDOR)


def reply(
    request: Message, status: int, description: str, condition: str | None = None, *, body: Any = None
) -> Message:
    properties: dict[str, Any] = {"statusCode": int32(status), "statusDescription": description}
    if condition is not None:
        properties["errorCondition"] = symbol(condition)
    return Message(body=body or {}, correlation_id=request.id, properties=properties)


def _peek(entity: Entity, body: Mapping[str, Any]) -> dict[str, Any] | None:
    found = entity.peek(body["from-sequence-number"], body["message-count"])
    if not found:
        return None
    return {"messages": [{"message": wire.encode(stored, peeked=True)} for stored in found]}


def _renew_lock(entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    expirations = [wire.milliseconds(entity.renew(token)) for token in body["lock-tokens"]]
    return {"expirations": Array(None, Data.TIMESTAMP, *expirations)}


def _schedule(entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    numbers = [wire.store(entity, bytes(each["message"])) for each in body["messages"]]
    return {"sequence-numbers": Array(None, Data.LONG, *numbers)}


def _cancel_scheduled(entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    for number in body["sequence-numbers"]:
        if not entity.cancel_scheduled(number):
            raise Refused(404, "com.microsoft:message-not-found", f"No scheduled message has the number {number}.")
    return {}


def _update_disposition(entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    settle: Callable[..., None] = {
        "completed": entity.complete,
        "abandoned": entity.abandon,
        "suspended": lambda token: entity.dead_letter(
            token, body.get("deadletter-reason"), body.get("deadletter-description")
        ),
    }[body["disposition-status"]]
    for token in body["lock-tokens"]:
        settle(token)
    return {}


_OPERATIONS: Mapping[str, Callable[[Entity, Mapping[str, Any]], dict[str, Any] | None]] = {
    "peek-message": _peek,
    "renew-lock": _renew_lock,
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel_scheduled,
    "update-disposition": _update_disposition,
}
