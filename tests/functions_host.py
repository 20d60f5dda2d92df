"""A stand-in for the host of Azure Functions, and the messages it hands over."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum
from azure.functions.servicebus import ServiceBusMessageInConverter
from azure.functions.timer import TimerRequest
from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage


class Host:
    """Does to the functions what Azure Functions' host does, and to messages what it does for how functions end."""

    def __init__(self, app: func.FunctionApp, bus: ServiceBusClient | None = None) -> None:
        self._functions = {each.get_function_name(): each.get_user_function() for each in app.get_functions()}
        self._bus = bus

    def call(self, name: str, argument: Any) -> Any:
        called = self._functions[name](argument)
        return asyncio.run(called) if inspect.iscoroutine(called) else called

    def post(self, name: str, path: str, body: bytes, **headers: str) -> func.HttpResponse:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.call(name, func.HttpRequest("POST", f"https://app.example{path}", headers=named, body=body))

    def tick(self, *, past_due: bool = False) -> None:
        self.call("reconcile", TimerRequest(past_due=past_due))

    def deliver(self, name: str, queue: str) -> list[BaseException | None]:
        """One delivery of all that waits: completed where the function returns, given back where it raises."""
        assert self._bus is not None
        with self._bus.get_queue_receiver(queue) as receiver:
            messages: list[ServiceBusReceivedMessage] = []
            while more := receiver.receive_messages(100, max_wait_time=0.5):
                messages += more
            endings = asyncio.run(self._all(name, messages))
            for message, error in zip(messages, endings, strict=True):
                if error is None:
                    receiver.complete_message(message)
                else:
                    receiver.abandon_message(message)
        return endings

    async def _all(self, name: str, messages: list[ServiceBusReceivedMessage]) -> list[BaseException | None]:
        calls = [self._functions[name](handed_over(message)) for message in messages]
        return await asyncio.gather(*calls, return_exceptions=True)


def handed_over(message: ServiceBusReceivedMessage) -> func.ServiceBusMessage:
    """The message as the worker makes it from what the host tells, with the package's own converter."""
    properties = {
        name.decode(): value.decode() if isinstance(value, bytes) else value
        for name, value in (message.application_properties or {}).items()
    }
    told = {
        "MessageId": message.message_id,
        "CorrelationId": message.correlation_id,
        "Subject": message.subject,
        "SessionId": message.session_id,
        "ContentType": message.content_type,
        "LockToken": str(message.lock_token),
        "SequenceNumber": message.sequence_number,
        # .NET counts the delivery under way.
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "EnqueuedTimeUtc": f"{message.enqueued_time_utc:%Y-%m-%dT%H:%M:%S}",
        "LockedUntil": f"{message.locked_until_utc:%Y-%m-%dT%H:%M:%S}",
        "ApplicationProperties": properties,
        "UserProperties": properties,
    }
    metadata = {name: Datum(json.dumps(value), "json") for name, value in told.items() if value is not None}
    body = b"".join(message.body)
    handed: func.ServiceBusMessage = ServiceBusMessageInConverter.decode(
        Datum(body, "bytes"), trigger_metadata=metadata
    )
    return handed
