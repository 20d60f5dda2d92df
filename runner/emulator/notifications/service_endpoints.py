"""Service endpoints: where notifications are sent, and how the sender authenticates.

Sources: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/serviceendpoint
  https://learn.microsoft.com/power-apps/developer/data-platform/register-web-hook
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from azure_bridge.queues.contract import QueueMessage
from dataverse_client.types import Entity
from runner.emulator.errors import InvalidArgument, NotSupported

_WEBHOOK_PORTS = {"http": 80, "https": 443}
_JSON = 2


class Contract(IntEnum):
    """The kind of endpoint."""

    QUEUE = 2
    TOPIC = 5
    PERSISTENT_QUEUE = 6
    WEBHOOK = 8


class AuthType(IntEnum):
    """How the sender authenticates. A webhook uses one of the last three."""

    ACS = 1
    SAS_KEY = 2
    SAS_TOKEN = 3
    WEBHOOK_KEY = 4
    HTTP_HEADER = 5
    HTTP_QUERY_STRING = 6
    CONNECTION_STRING = 7


_WEBHOOK_AUTHENTICATION = (AuthType.WEBHOOK_KEY, AuthType.HTTP_HEADER, AuthType.HTTP_QUERY_STRING)
_SERVICE_BUS_AUTHENTICATION = (AuthType.SAS_KEY, AuthType.SAS_TOKEN, AuthType.CONNECTION_STRING)


class MessageSender(Protocol):
    """Sends the messages of a Service Bus endpoint. Every MessageQueue is one."""

    def send(self, messages: Sequence[QueueMessage]) -> None:
        """Send messages. Raises QueueUnavailableError or MessageTooLargeError."""


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """A row of ``serviceendpoint`` that notifications can be sent to, with its secrets."""

    id: str
    name: str
    contract: Contract
    auth_type: AuthType
    auth_value: str = field(default="", repr=False)
    url: str = ""
    #: The name of the queue or topic.
    path: str = ""
    namespace_address: str = ""
    sas_key: str = field(default="", repr=False)
    sas_token: str = field(default="", repr=False)

    @classmethod
    def of(cls, row: Entity, secrets: Mapping[str, str]) -> ServiceEndpoint:
        """The endpoint of a row. ``secrets`` are its write-only columns.

        Raises:
          NotSupported: the contract or format is not emulated.
          InvalidArgument: a column that the contract needs is missing or wrong.
        """
        endpoint = cls(
            id=row.id or "",
            name=row.get("name", ""),
            contract=_contract(row),
            auth_type=_auth_type(row),
            auth_value=secrets.get("authvalue", ""),
            url=row.get("url", ""),
            path=row.get("path", ""),
            namespace_address=row.get("namespaceaddress", ""),
            sas_key=secrets.get("saskey", ""),
            sas_token=secrets.get("sastoken", ""),
        )
        if endpoint.is_webhook:
            _check_webhook(endpoint)
        else:
            _check_service_bus(endpoint, row)
        return endpoint

    @property
    def is_webhook(self) -> bool:
        return self.contract is Contract.WEBHOOK

    @property
    def address(self) -> str:
        """The endpoint's address without secrets."""
        if not self.is_webhook:
            return "/".join(part for part in (self.namespace_address.rstrip("/"), self.path) if part)
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` is a loopback address."""
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host is not None and host.lower() == "localhost"


def _contract(row: Entity) -> Contract:
    number = _number(row, "contract")
    try:
        return Contract(number)
    except ValueError:
        raise NotSupported(
            f"Contract {number} of service endpoint {row.get('name')!r} is not emulated. Use 8 (webhook), 2 or 6 "
            "(queue) or 5 (topic)."
        ) from None


def _auth_type(row: Entity) -> AuthType:
    number = _number(row, "authtype")
    if number == AuthType.ACS:
        raise InvalidArgument("ACS authentication is retired. Use a SAS key (authtype 2).", code=0x80050209)
    try:
        return AuthType(number)
    except ValueError:
        raise InvalidArgument(f"Service endpoint {row.get('name')!r}: authtype {number} is not emulated.") from None


def _number(row: Entity, column: str) -> int:
    if row.get(column) is None:
        raise InvalidArgument(f"Service endpoint {row.get('name')!r} has no {column}.")
    number: int = row[column].value
    return number


def _check_webhook(endpoint: ServiceEndpoint) -> None:
    if endpoint.auth_type not in _WEBHOOK_AUTHENTICATION:
        raise InvalidArgument(
            f"Webhook {endpoint.name!r} cannot use authtype {int(endpoint.auth_type)}. Use 4 (WebhookKey), "
            "5 (HttpHeader) or 6 (HttpQueryString)."
        )
    if not _is_reachable(endpoint.url):
        raise InvalidArgument(
            f"Webhook {endpoint.name!r} needs an absolute URL on port 80 (http) or 443 (https); other ports are "
            "allowed on this machine only."
        )


def _is_reachable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in _WEBHOOK_PORTS or not parts.hostname:
        return False
    return is_loopback(parts.hostname) or _is_usual_port(parts, port)


def _is_usual_port(parts: SplitResult, port: int | None) -> bool:
    return port is None or port == _WEBHOOK_PORTS[parts.scheme]


def _check_service_bus(endpoint: ServiceEndpoint, row: Entity) -> None:
    if endpoint.auth_type not in _SERVICE_BUS_AUTHENTICATION:
        raise InvalidArgument(
            f"Service endpoint {endpoint.name!r} cannot use authtype {int(endpoint.auth_type)}. Use 2 (SAS key), "
            "3 (SAS token) or 7 (connection string)."
        )
    if not endpoint.path:
        raise InvalidArgument(f"Service endpoint {endpoint.name!r} needs a path: the name of the queue or topic.")
    message_format: Any = row.get("messageformat")
    if message_format is None or message_format.value != _JSON:
        raise NotSupported(
            f"Service endpoint {endpoint.name!r} would send .NET binary or XML, which is not emulated. "
            "Set messageformat to 2 (JSON)."
        )
