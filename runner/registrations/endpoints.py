"""The ``endpoints`` section of ``registrations.yaml``: how a remote environment reaches the runner.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/serviceendpoint
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from runner.registrations.section import Name, Section


class WebhookKey(Section):
    """The key is appended to the address as ``?code=``."""

    type: Literal["webhook-key"]
    """How Dataverse proves itself."""

    value: str
    """The key, as a reference such as ``${env:DATAVERSE_WEBHOOK_KEY}``."""


class WebhookValues(Section):
    """Named values are sent as HTTP headers or in the query string."""

    type: Literal["http-header", "http-query-string"]
    """Where the values travel."""

    values: dict[str, str]
    """Name -> value; values are references such as ``${keyvault:webhook-key}``."""


WebhookAuthentication: TypeAlias = Annotated[WebhookKey | WebhookValues, Field(discriminator="type")]


class WebhookEndpoint(Section):
    """Dataverse posts each notification to an address.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-webhooks
    """

    type: Literal["webhook"]
    """What kind of endpoint this is."""

    url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """Where Dataverse posts, on port 80 or 443; leave out for the webhook address under ``RUNNER_PUBLIC_URL``."""

    auth: WebhookAuthentication
    """How Dataverse proves that it is the sender."""


class _ServiceBusEndpoint(Section):
    namespace: str
    """The namespace's host name: ``contoso.servicebus.windows.net``."""

    shared_access_key_name: Name
    """The policy that Dataverse sends with; it needs the Send claim only."""

    shared_access_key: str
    """The policy's key, as a reference such as ``${keyvault:servicebus-send}``."""

    message_format: Literal["json", "xml", "binary"] = "json"
    """How Dataverse writes the message. The runner reads ``json``."""


class ServiceBusQueueEndpoint(_ServiceBusEndpoint):
    """Dataverse sends each notification to an Azure Service Bus queue.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/azure-integration
    """

    type: Literal["service-bus-queue"]
    """What kind of endpoint this is."""

    queue: Name
    """The queue's name."""


class ServiceBusTopicEndpoint(_ServiceBusEndpoint):
    """Dataverse sends each notification to an Azure Service Bus topic."""

    type: Literal["service-bus-topic"]
    """What kind of endpoint this is."""

    topic: Name
    """The topic's name."""


EndpointRegistration: TypeAlias = Annotated[
    WebhookEndpoint | ServiceBusQueueEndpoint | ServiceBusTopicEndpoint, Field(discriminator="type")
]
