"""Which endpoints, custom APIs and bridges can be: rules about the whole file, beside those about each step."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias
from urllib.parse import urlsplit

from azure_bridge.secrets import SOURCES, references
from dataverse_client.types import is_guid
from runner.registrations.endpoints import EndpointRegistration, WebhookEndpoint, WebhookKey, WebhookValues
from runner.registrations.messages import CUSTOM_API as UNIQUE_NAME
from runner.registrations.pages import CUSTOM_API, WEBHOOKS
from runner.registrations.problems import Finding, Path
from runner.registrations.stripe_events import PAYMENT_EVENT_TYPES, meant_event
from runner.registrations.view import View, Wrong

FileRule: TypeAlias = Callable[[View], Wrong]

TOO_LONG = 0x80044331

_LONGEST = 128
#: A header's name, by RFC 9110.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z")
_WEBHOOK_PORTS = {"http": 80, "https": 443}


def endpoints_keep_secrets(view: View) -> Wrong:
    """A key in a file is a key in a repository."""
    for name, endpoint in view.endpoints.items():
        for path, value in _secret_values(endpoint):
            if not references(value):
                hint = "Write a reference, such as ${env:DATAVERSE_WEBHOOK_KEY} or ${keyvault:webhook-key}."
                yield Finding(path=("endpoints", name, *path), message="A secret stands here as text.", hint=hint)


def _secret_values(endpoint: EndpointRegistration) -> Iterator[tuple[Path, str]]:
    if not isinstance(endpoint, WebhookEndpoint):
        yield ("shared_access_key",), endpoint.shared_access_key
    elif isinstance(endpoint.auth, WebhookKey):
        yield ("auth", "value"), endpoint.auth.value
    else:
        yield from ((("auth", "values", key), value) for key, value in endpoint.auth.values.items())


def references_can_be_looked_up(data: object) -> Wrong:
    """A rule about the file's data, since references may stand anywhere: they name a source there is, and a secret."""
    for path, text in _texts(data, (), set()):
        for each in references(text):
            if each.source not in SOURCES or not each.name.strip():
                hint = "Write ${env:NAME} or ${keyvault:NAME}."
                yield Finding(path=path, message=f"{each} cannot be looked up.", hint=hint)


def _texts(data: object, path: Path, seen: set[int]) -> Iterator[tuple[Path, str]]:
    """Every text once, where it stands first and not where an alias repeats it."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict | list) and id(data) not in seen:
        seen.add(id(data))
        for key, part in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _texts(part, (*path, key), seen)


def custom_apis_are_messages(view: View) -> Wrong:
    """A unique name carries its publisher's prefix; a function has something to answer."""
    for name, api in view.custom_apis.items():
        if not UNIQUE_NAME.match(name):
            hint = "Begin it with a publisher's prefix: new_QuotePayment."
            yield Finding(path=("custom_apis", name), message=f"{name!r} is no unique name.", hint=hint, url=CUSTOM_API)
        if api.is_function and not api.response_properties:
            hint = "Give it response_properties, or make it an action: is_function: false."
            yield Finding(path=("custom_apis", name), message="A function answers nothing.", hint=hint, url=CUSTOM_API)
    yield from _names_are_told_apart(("custom_apis",), view.custom_apis)


def custom_api_parameters_have_names(view: View) -> Wrong:
    """A bound one has its Target without saying so."""
    for name, api in view.custom_apis.items():
        for section, names in (
            ("request_parameters", api.request_parameters),
            ("response_properties", api.response_properties),
        ):
            path = ("custom_apis", name, section)
            yield from _names_are_told_apart(path, names)
            for each in names:
                if not each or any(map(str.isspace, each)):
                    yield Finding(path=(*path, each), message=f"{each!r} is no name.", hint="Write it as one word.")
        if api.entity and "Target" in api.request_parameters:
            hint = f"Remove it: it is the row of {api.entity} that is bound to."
            yield Finding(
                path=("custom_apis", name, "request_parameters", "Target"),
                message="A bound custom API has its Target already.",
                hint=hint,
                url=CUSTOM_API,
            )


def _names_are_told_apart(path: Path, names: Iterable[str]) -> Wrong:
    """To Dataverse, upper and lower case are the same."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            message = f"{first!r} and {name!r} are the same to Dataverse."
            yield Finding(path=(*path, name), message=message, hint="Rename one of them.", url=CUSTOM_API)
        if len(name) > _LONGEST:
            message = f"This name has {len(name)} characters of at most {_LONGEST}."
            yield Finding(path=(*path, name), message=message, hint="Shorten it.", url=CUSTOM_API, code=TOO_LONG)


def webhooks_prove_who_sends(view: View) -> Wrong:
    """Somebody else could post to one without any value."""
    for name, endpoint in view.endpoints.items():
        auth = endpoint.auth if isinstance(endpoint, WebhookEndpoint) else None
        if not isinstance(auth, WebhookValues):
            continue
        path = ("endpoints", name, "auth", "values")
        if not auth.values:
            yield Finding(path=path, message="Nothing here proves who sends.", hint="Give at least one value.")
        for key in auth.values:
            if auth.type == "http-header" and not _HEADER.match(key):
                hint = "Write a name such as X-Webhook-Key."
                yield Finding(path=(*path, key), message=f"{key!r} is no name of a header.", hint=hint)


def namespaces_are_hosts(view: View) -> Wrong:
    for name, endpoint in view.endpoints.items():
        if isinstance(endpoint, WebhookEndpoint) or references(endpoint.namespace):
            continue
        if not _HOST.match(endpoint.namespace):
            message, hint = f"{endpoint.namespace!r} is no host name.", "Write contoso.servicebus.windows.net."
            yield Finding(path=("endpoints", name, "namespace"), message=message, hint=hint)


def webhooks_can_be_reached(view: View) -> Wrong:
    """Dataverse posts to http on port 80 and https on 443; a served emulator on this machine is not so particular."""
    for name, endpoint in view.endpoints.items():
        url = endpoint.url if isinstance(endpoint, WebhookEndpoint) else None
        if url is None or references(url):
            continue
        wrong = _unreachable(url)
        if wrong:
            hint = "Give an address such as https://hooks.contoso.com/dataverse."
            yield Finding(path=("endpoints", name, "url"), message=wrong, hint=hint, url=WEBHOOKS)


def _unreachable(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not an address."
    if parts.scheme not in _WEBHOOK_PORTS or not parts.hostname:
        return "This is not an http or https address."
    if port in (None, _WEBHOOK_PORTS[parts.scheme]) or parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return None
    return f"Dataverse does not post to port {port} of {parts.scheme}, only to http on 80 and https on 443."


def events_are_applied(view: View) -> Wrong:
    if view.bridge is None or "events" in view.bridge.broken:
        return
    for index, name in enumerate(view.bridge.value.events):
        if name not in PAYMENT_EVENT_TYPES:
            match = meant_event(name)
            hint = f"Did you mean {match}?" if match else f"Known: {', '.join(PAYMENT_EVENT_TYPES)}."
            yield Finding(
                path=(*view.bridge.path, "events", index),
                message=f"The bridge applies no Stripe event {name!r}.",
                hint=hint,
                url="https://docs.stripe.com/api/events/types",
            )


def organization_is_an_id(view: View) -> Wrong:
    organization = view.bridge.value.organization_id if view.bridge else None
    if view.bridge and organization is not None and not is_guid(organization) and not references(organization):
        hint = "Give the organization's GUID, or a reference: ${env:NAME}."
        yield view.bridge.wrong(f"{organization!r} is not an organization's id.", hint, "organization_id")


def bridge_tables_differ(view: View) -> Wrong:
    """An event finds its row by metadata key, so each table needs one of its own."""
    if view.bridge is None or "tables" in view.bridge.broken:
        return
    if not view.bridge.value.tables:
        yield view.bridge.wrong("No table follows the money.", "Add one, or remove the bridge section.", "tables")
    seen: Counter[str] = Counter()
    for index, table in enumerate(view.bridge.value.tables):
        facts = {"entity": str(view.logical_name(table.entity)), "metadata_key": table.metadata_key}
        for key, value in facts.items():
            if seen[f"{key}={value}"]:
                hint = "Give each table its own."
                yield view.bridge.wrong(f"Another table has {value!r}.", hint, "tables", index, key)
            seen[f"{key}={value}"] += 1


def statuses_differ(view: View) -> Wrong:
    """The bridge reads the status back, so a number must mean one thing."""
    if view.bridge is None or "tables" in view.bridge.broken:
        return
    for index, table in enumerate(view.bridge.value.tables):
        numbers = Counter(table.statuses.values())
        for status, number in table.statuses.items():
            if numbers[number] > 1:
                message, hint = f"The number {number} stands for another status too.", "Give each status its own."
                yield view.bridge.wrong(message, hint, "tables", index, "statuses", status.value)


FILE_RULES: tuple[FileRule, ...] = (
    endpoints_keep_secrets,
    custom_apis_are_messages,
    custom_api_parameters_have_names,
    webhooks_prove_who_sends,
    namespaces_are_hosts,
    webhooks_can_be_reached,
    events_are_applied,
    organization_is_an_id,
    bridge_tables_differ,
    statuses_differ,
)
