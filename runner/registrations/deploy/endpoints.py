"""Endpoints of the file as rows of ``serviceendpoint``.

Sources: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/serviceendpoint
  https://learn.microsoft.com/power-apps/developer/data-platform/register-web-hook
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from dataverse_client.types import OptionSetValue
from runner.registrations.deploy.rows import ENDPOINT, Row
from runner.registrations.endpoints import ServiceBusQueueEndpoint, WebhookEndpoint, WebhookKey
from runner.registrations.identity import endpoint_id
from runner.settings import DATAVERSE_HOOK

if TYPE_CHECKING:
    from azure_bridge.secrets import Secrets
    from runner.registrations.endpoints import EndpointRegistration, ServiceBusTopicEndpoint
    from runner.registrations.model import Registrations

#: The endpoint of steps that name none; a file may declare one of this name to replace it.
DEFAULT_ENDPOINT = "Dataverse plug-in runner"


_PERSISTENT_QUEUE, _TOPIC, _WEBHOOK = 6, 5, 8
_SAS_KEY, _WEBHOOK_KEY = 2, 4
_JSON = 2
_NAMED_VALUES = {"http-header": 5, "http-query-string": 6}
_FORMATS = {"binary": 1, "json": _JSON, "xml": 3}
_NAMESPACE_ADDRESS = 2
_NORMAL = 1


@dataclass(frozen=True, slots=True)
class Site:
    """Where ``runner serve`` is reached from outside, and the key it expects there; None: it expects none.

    ``environment_url`` is the Dataverse that is to reach it.
    """

    public_url: str
    webhook_key: str | None = field(default=None, repr=False)
    environment_url: str = ""

    @property
    def webhook_url(self) -> str:
        return self.public_url.rstrip("/") + DATAVERSE_HOOK


def endpoint_rows(registrations: Registrations, site: Site, secrets: Secrets) -> dict[str, Row]:
    """A row for every endpoint by its name in the file, and one for the runner itself if a step needs it.

    Raises:
      SecretError: a reference cannot be resolved.
    """
    rows = {name: _row(name, each, site, secrets) for name, each in registrations.endpoints.items()}
    needed = any(each.endpoint is None for each in registrations.steps)
    needed = needed or any(each.plugin for each in registrations.custom_apis.values())
    if needed and DEFAULT_ENDPOINT not in rows:
        rows[DEFAULT_ENDPOINT] = _webhook(DEFAULT_ENDPOINT, site.webhook_url, _WEBHOOK_KEY, site.webhook_key or "")
    return rows


def endpoint_problems(rows: Iterable[Row], site: Site) -> Iterator[str]:
    """Why the environment could not reach an endpoint, or the runner would refuse what comes through it."""
    if _is_local(site.environment_url):
        return
    for row in rows:
        url = row.columns.get("url")
        if url is not None and _is_local(url):
            yield f"Endpoint {row.name}: {url} is this machine, which Dataverse cannot reach. Set RUNNER_PUBLIC_URL."
        if url is not None and not row.secrets:
            yield f"Endpoint {row.name}: it has no key, so anybody could post to it. Set DATAVERSE_WEBHOOK_KEY."


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _row(name: str, endpoint: EndpointRegistration, site: Site, secrets: Secrets) -> Row:
    if not isinstance(endpoint, WebhookEndpoint):
        return _service_bus(name, endpoint, secrets)
    url = secrets.resolve(endpoint.url) or site.webhook_url
    if isinstance(endpoint.auth, WebhookKey):
        return _webhook(name, url, _WEBHOOK_KEY, secrets.resolve(endpoint.auth.value))
    values = secrets.resolve(endpoint.auth.values)
    return _webhook(name, url, _NAMED_VALUES[endpoint.auth.type], _settings(values))


def _webhook(name: str, url: str, authentication: int, value: str) -> Row:
    columns = {"contract": _WEBHOOK, "authtype": authentication, "messageformat": _JSON, "connectionmode": _NORMAL}
    return _endpoint(name, columns, {"url": url}, {"authvalue": value})


def _service_bus(name: str, endpoint: ServiceBusQueueEndpoint | ServiceBusTopicEndpoint, secrets: Secrets) -> Row:
    is_queue = isinstance(endpoint, ServiceBusQueueEndpoint)
    choices = {
        "contract": _PERSISTENT_QUEUE if is_queue else _TOPIC,
        "authtype": _SAS_KEY,
        "messageformat": _FORMATS[endpoint.message_format],
        "connectionmode": _NORMAL,
        "namespaceformat": _NAMESPACE_ADDRESS,
    }
    host = secrets.resolve(endpoint.namespace)
    texts = {
        "path": endpoint.queue if isinstance(endpoint, ServiceBusQueueEndpoint) else endpoint.topic,
        "namespaceaddress": f"sb://{host}/",
        "solutionnamespace": host.partition(".")[0],
        "saskeyname": endpoint.shared_access_key_name,
    }
    return _endpoint(name, choices, texts, {"saskey": secrets.resolve(endpoint.shared_access_key)})


def _endpoint(name: str, choices: Mapping[str, int], texts: Mapping[str, str], secrets: Mapping[str, str]) -> Row:
    id = endpoint_id(name)
    columns: dict[str, Any] = {"name": name, "description": _description(id, secrets), **texts}
    columns |= {column: OptionSetValue(number) for column, number in choices.items()}
    return Row(ENDPOINT, id, columns, {column: value for column, value in secrets.items() if value})


def _settings(values: Mapping[str, str]) -> str:
    """Named values in the form in which ``authvalue`` holds them."""
    settings = (f"<setting name={quoteattr(name)} value={quoteattr(value)}/>" for name, value in values.items())
    return f"<settings>{''.join(settings)}</settings>"


def _description(id: str, secrets: Mapping[str, str]) -> str:
    """Says whose the row is, and lets a changed secret be noticed, which nobody can read.

    Sixteen bits of a slow hash tell two secrets apart, and tell whoever reads them nothing worth having.
    """
    secret = "\n".join(secrets.values())
    if not secret:
        return "Kept by runner apply."
    digest = hashlib.pbkdf2_hmac("sha256", secret.encode(), id.encode(), 20_000, dklen=2)
    return f"Kept by runner apply. Secret {digest.hex()}."
