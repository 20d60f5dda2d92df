"""Azure Functions of the bridge: Stripe's webhook, and the queue "payment-events".

    app.register_functions(bridge_functions(parts))

Each function calls the same code as ``runner serve`` and ``runner work``. How messages are settled under the Functions
host is described in :mod:`azure_bridge.hosted_messages`.
Source: https://learn.microsoft.com/azure/azure-functions/functions-reference-python
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

import azure.functions as func

from azure_bridge.errors import BridgeError
from azure_bridge.gathering import Gathered
from azure_bridge.hosted_messages import HOLD, HostedMessages
from azure_bridge.observer import BridgeObserver
from azure_bridge.once import Once
from azure_bridge.processor import BATCH_SIZE, PaymentProcessor
from azure_bridge.queues.contract import MessageQueue
from azure_bridge.receiver import StripeReceiver
from azure_bridge.redaction import redact
from azure_bridge.webhook import Reply, StripeWebhook

#: How many requests may wait for the queue at once; they are stored in one batch.
_STORING = 64


_log = logging.getLogger(__name__)


class BridgeMissingError(BridgeError):
    """The registrations have no bridge section, so it is unknown which tables payment events belong to."""


class BridgeParts(Protocol):
    """What the bridge's functions need. Without a bridge section ``receiver`` and ``processor`` are None."""

    @property
    def receiver(self) -> StripeReceiver | None: ...
    @property
    def processor(self) -> PaymentProcessor | None: ...
    @property
    def payments(self) -> MessageQueue: ...
    @property
    def observer(self) -> BridgeObserver: ...


def service_bus_connection(environ: Mapping[str, str] | None = None) -> str:
    """The name under which the host looks for Service Bus: of a connection string, or of an identity's settings.

    The identity's is ``SERVICEBUS__fullyQualifiedNamespace``, which :class:`runner.settings.Settings` reads as well, so
    that triggers and code are told once.
    Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#connections
    """
    environ = os.environ if environ is None else environ
    return "SERVICEBUS_CONNECTION_STRING" if environ.get("SERVICEBUS_CONNECTION_STRING") else "SERVICEBUS"


def bridge_functions(parts: Callable[[], BridgeParts], *, hold: timedelta = HOLD) -> func.Blueprint:
    """The bridge's functions. ``parts`` is first called when one of them is; ``hold`` is :class:`HostedMessages`'s."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    webhook = Once(lambda: StripeWebhook(parts().receiver, parts().payments, parts().observer))
    storing = ThreadPoolExecutor(_STORING, "store")
    gathered = Once(lambda: Gathered(_processor(parts()).process))
    hosted = HostedMessages(
        lambda: parts().payments, lambda message: gathered()(message), at_once=BATCH_SIZE, hold=hold
    )

    @blueprint.function_name("stripe_webhook")
    @blueprint.route(
        "stripe/webhook", trigger_arg_name="request", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
    )
    async def stripe_webhook(request: func.HttpRequest) -> func.HttpResponse:
        """Stripe signs its requests, so the host asks for no key of its own."""
        return http_response(await asyncio.get_running_loop().run_in_executor(storing, _answer, webhook, request))

    @blueprint.function_name("payment_events")
    @blueprint.service_bus_queue_trigger(
        arg_name="message",
        connection=service_bus_connection(),
        queue_name="%PAYMENT_EVENTS_QUEUE%",
        data_type=func.DataType.BINARY,
        cardinality=func.Cardinality.ONE,
    )
    async def payment_events(message: func.ServiceBusMessage) -> None:
        """One event to its row, together with all others that are here at the same time."""
        await hosted.work_on(message)

    return blueprint


def _processor(parts: BridgeParts) -> PaymentProcessor:
    if parts.processor is None:
        raise BridgeMissingError(
            "The registrations have no bridge section, so payment events cannot be applied. Add one, or disable the "
            "function with the setting AzureWebJobs.payment_events.Disabled=true."
        )
    return parts.processor


def _answer(opened: Once[StripeWebhook], request: func.HttpRequest) -> Reply:
    try:
        webhook = opened()
    except Exception as error:
        return not_ready(error)
    body, signature = request.get_body(), request.headers.get("stripe-signature")
    reading = webhook.read(body, signature)
    if webhook.is_doubtful(reading):
        reading = webhook.read_again(body, signature)
    return reading if isinstance(reading, Reply) else webhook.store(reading)


def not_ready(error: Exception) -> Reply:
    """What is answered while the parts cannot be opened: come again. Why is for the log, not for the world."""
    _log.error("Not ready: %s", redact(str(error)))
    return Reply(503, "Not ready: see the log.")


def http_response(reply: Reply) -> func.HttpResponse:
    """The reply as the host takes it."""
    headers = {"Retry-After": "1"} if reply.status == 503 else None
    return func.HttpResponse(reply.text, status_code=reply.status, headers=headers)
