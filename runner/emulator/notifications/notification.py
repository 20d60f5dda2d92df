"""Sends notifications as Dataverse does: a service endpoint's step is a plug-in that posts its context.

Sources: https://learn.microsoft.com/power-apps/developer/data-platform/use-webhooks
  https://learn.microsoft.com/power-apps/developer/data-platform/azure-integration
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar, TypeAlias
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from azure_bridge.queues.contract import (
    MessageTooLargeError,
    QueueError,
    QueueMessage,
    QueueUnavailableError,
)
from azure_bridge.redaction import redact, register_secret
from dataverse_client.types import Entity, OrderExpression, OrderType, QueryExpression
from runner.emulator.notifications.faults import (
    NotificationFailed,
    ServiceBusMaxSizeExceeded,
    ServiceBusPostFailed,
    ServiceBusPostPostponed,
    WebhooksHttpRequestTimedOut,
    WebhooksInvalidHttpHeaders,
    WebhooksInvalidHttpQueryParams,
    WebhooksMaxSizeExceeded,
    WebhooksNonSuccessHttpResponse,
    WebhooksPostRequestFailed,
)
from runner.emulator.notifications.service_endpoints import AuthType, MessageSender, ServiceEndpoint, is_loopback
from runner.emulator.query.model import Query
from runner.execution.step import Stage
from runner.plugin import Plugin, PluginContext
from runner.remote_context.context import RemoteContext
from runner.remote_context.encoding import encode_value
from runner.remote_context.errors import UnknownValueTypeError

#: Seconds for an endpoint to respond.
WEBHOOK_TIMEOUT = 60.0

#: Responses of a gateway whose server is briefly unavailable; only these are retried, once.
_RETRIED = frozenset({502, 503, 504})
_CLAIMS = "http://schemas.microsoft.com/xrm/2011/Claims/"
#: Notifications are not sent from the sandbox.
_ISOLATION_NONE = 1
_MAX_ERROR_TEXT = 500
#: A response that is read to its end leaves the connection open for the next notification.
_MAX_RESPONSE = 64 * 1024

SenderFactory: TypeAlias = Callable[[ServiceEndpoint], MessageSender]


@dataclass(frozen=True, slots=True)
class NotifyingEnvironment:
    """What notifications need from the environment. ``host`` is its host name.

    ``format_target`` adds a Target's formatted values; ``senders`` returns the sender for a queue or topic.
    """

    host: str
    format_target: Callable[[Entity], None]
    senders: SenderFactory | None = None


class Notification(Plugin):
    """The handler of an endpoint's step. Unlike a plug-in, it has no row in the plug-in trace log."""

    #: The most bytes of a body. A longer one is sent without parameters, images and parent context.
    limit: ClassVar[int]
    too_large: ClassVar[type[NotificationFailed]]
    unwritable: ClassVar[type[NotificationFailed]]

    def __init__(self, endpoint: ServiceEndpoint, environment: NotifyingEnvironment) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._environment = environment

    def _body(self, context: PluginContext) -> tuple[bytes, bool]:
        """The body, and whether it is trimmed."""
        remote = self._remote_context(context)
        body = remote.encode()
        if len(body) <= self.limit:
            return body, False
        body = remote.trimmed().encode()
        if len(body) > self.limit:
            raise self.too_large(
                f"The notification has {len(body)} bytes even without parameters and images; {self.limit} are allowed."
            )
        return body, True

    def _remote_context(self, context: PluginContext) -> RemoteContext:
        if context.message_name == "Create" and context.stage == Stage.POST_OPERATION:
            self._environment.format_target(context.target)
        try:
            return RemoteContext.of(context, isolation_mode=_ISOLATION_NONE)
        except UnknownValueTypeError as error:
            raise self.unwritable(f"The notification cannot be written: {error}") from None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    said: str


class WebhookNotification(Notification):
    """Posts the context. Any response but 2xx fails the step."""

    limit = 256 * 1024
    too_large = WebhooksMaxSizeExceeded
    unwritable = WebhooksPostRequestFailed

    def __init__(
        self, endpoint: ServiceEndpoint, environment: NotifyingEnvironment, timeout: float = WEBHOOK_TIMEOUT
    ) -> None:
        super().__init__(endpoint, environment)
        self._timeout = timeout
        self._session = requests.Session()
        # Do not ask for compression, as the body may be unreadable then.
        del self._session.headers["Accept-Encoding"]
        # Ignore proxies in the environment variables, which may not reach addresses of this machine.
        self._session.trust_env = not is_loopback(urlsplit(endpoint.url).hostname)

    def execute(self, context: PluginContext) -> None:
        body, exceeded = self._body(context)
        headers = _headers(context, self._environment.host)
        if exceeded:
            headers["x-ms-dynamics-msg-size-exceeded"] = "true"
        own_headers, query = _authentication(self._endpoint)
        context.trace("POST {}: {} bytes", self._endpoint.address, len(body))
        answer = self._post(body, headers | own_headers, query)
        if answer.status in _RETRIED:
            context.trace("{} answered {}; once more", self._endpoint.address, answer.status)
            answer = self._post(body, headers | own_headers, query)
        context.trace("{} answered {}", self._endpoint.address, answer.status)
        if not 200 <= answer.status < 300:
            raise WebhooksNonSuccessHttpResponse.of(self._endpoint.address, answer.status, answer.said)

    def _post(self, body: bytes, headers: Mapping[str, str], query: Mapping[str, str]) -> _Answer:
        """Post the body. Errors name only their type, as their text may contain the query and with it the key."""
        address, ends = self._endpoint.address, monotonic() + self._timeout
        try:
            with self._session.post(
                self._endpoint.url,
                data=body,
                headers=headers,
                params=query,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                return _Answer(answer.status_code, _error_text(answer, ends))
        except requests.Timeout:
            raise WebhooksHttpRequestTimedOut.of(address, self._timeout) from None
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
            raise WebhooksInvalidHttpHeaders(f"A header in the authvalue of {address} is not valid in HTTP.") from None
        except (requests.RequestException, HTTPError) as error:
            raise WebhooksPostRequestFailed.of(address, type(error).__name__) from None


class ServiceBusNotification(Notification):
    """Sends the context to a queue or topic, with the claims in the message's properties."""

    limit = 192 * 1024
    too_large = ServiceBusMaxSizeExceeded
    unwritable = ServiceBusPostFailed

    def execute(self, context: PluginContext) -> None:
        message = self._message(context)
        context.trace("{}: {} bytes", self._endpoint.address, len(message.body))
        try:
            self._sender().send([message])
        except QueueUnavailableError as error:
            raise ServiceBusPostPostponed(self._failed(error)) from None
        except MessageTooLargeError as error:
            raise ServiceBusMaxSizeExceeded(self._failed(error)) from None
        except QueueError as error:
            raise ServiceBusPostFailed(self._failed(error)) from None

    def _sender(self) -> MessageSender:
        senders = self._environment.senders
        if senders is None:
            raise ServiceBusPostFailed(
                f"There is no sender for {self._endpoint.address}. Pass service_bus_senders to the emulator."
            )
        return senders(self._endpoint)

    def _message(self, context: PluginContext) -> QueueMessage:
        body, exceeded = self._body(context)
        properties = _claims(context, self._environment.host)
        if exceeded:
            properties["MessageMaxSizeExceeded"] = "true"
        return QueueMessage(
            body,
            message_id=f"{context.operation_id}:{context.owning_extension.id}",
            correlation_id=context.correlation_id,
            application_properties=properties,
        )

    def _failed(self, error: QueueError) -> str:
        return redact(f"The message could not be sent to {self._endpoint.address}: {error}")


def notification(endpoint: ServiceEndpoint, environment: NotifyingEnvironment) -> Notification:
    """The handler of an endpoint's steps. Its secrets are masked from now on wherever text is redacted."""
    for secret in (endpoint.auth_value, endpoint.sas_key, endpoint.sas_token):
        register_secret(secret)
    kind = WebhookNotification if endpoint.is_webhook else ServiceBusNotification
    return kind(endpoint, environment)


@encode_value.register
def _(query: Query) -> dict[str, Any]:
    """The parts of a query that a QueryExpression can express, without conditions and joins."""
    orders = tuple(
        OrderExpression(order.column.name, OrderType.DESCENDING if order.descending else OrderType.ASCENDING)
        for order in query.orders
    )
    told: dict[str, Any] = encode_value(
        QueryExpression(query.entity_name, query.columns, orders=orders, top_count=query.top)
    )
    return told


# --- what is sent ---------------------------------------------------------------------------------------------


def _headers(context: PluginContext, organization_host: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "x-ms-dynamics-organization": organization_host,
        "x-ms-dynamics-entity-name": context.primary_entity_name,
        "x-ms-dynamics-request-name": context.message_name,
        "x-ms-correlation-request-id": context.correlation_id,
    }


def _claims(context: PluginContext, organization_host: str) -> dict[str, str]:
    claims = {
        "Organization": organization_host,
        "User": context.user_id,
        "InitiatingUser": context.initiating_user_id,
        "EntityLogicalName": context.primary_entity_name,
        "RequestName": context.message_name,
        "InitiatingUserAgent": context.initiating_user_agent,
    }
    return {f"{_CLAIMS}{name}": value for name, value in claims.items()}


def _authentication(endpoint: ServiceEndpoint) -> tuple[dict[str, str], dict[str, str]]:
    """The headers and query parameters that authenticate the sender."""
    if endpoint.auth_type is AuthType.WEBHOOK_KEY:
        return {}, {"code": endpoint.auth_value} if endpoint.auth_value else {}
    if endpoint.auth_type is AuthType.HTTP_HEADER:
        return _settings(endpoint, WebhooksInvalidHttpHeaders), {}
    return {}, _settings(endpoint, WebhooksInvalidHttpQueryParams)


def _settings(endpoint: ServiceEndpoint, invalid: type[NotificationFailed]) -> dict[str, str]:
    """``<settings><setting name="X-Key" value="v" /></settings>`` as a mapping."""
    # The import is slow, and only needed for endpoints with named values.
    from defusedxml import DefusedXmlException, ElementTree

    try:
        root = ElementTree.fromstring(endpoint.auth_value or "<settings/>")
        settings = {setting.attrib["name"]: setting.attrib["value"] for setting in root.iter("setting")}
    except (ElementTree.ParseError, DefusedXmlException, KeyError):
        raise invalid(
            f"The authvalue of {endpoint.address} is malformed. Write it as "
            '<settings><setting name="..." value="..." /></settings>.'
        ) from None
    for value in settings.values():
        register_secret(value)
    return settings


def _error_text(answer: requests.Response, ends: float) -> str:
    """The beginning of the response's body, for the error message, as far as it arrives in time."""
    said = b""
    try:
        while (
            len(said) < _MAX_RESPONSE
            and monotonic() < ends
            and (more := answer.raw.read1(_MAX_RESPONSE, decode_content=True))
        ):
            said += more
    except HTTPError:
        # The body is incomplete, or not encoded as declared.
        pass
    return redact(said[:_MAX_ERROR_TEXT].decode(errors="replace").strip())
