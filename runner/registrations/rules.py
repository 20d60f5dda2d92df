"""The rules by which Dataverse accepts registrations, as a table of small pure functions.

Each rule looks at one part of the file and says what is wrong with it. ``reads`` names the keys it depends on: a
rule is left out where one of them is broken already, so that one mistake is reported once. ``code`` is what
Dataverse itself answers with; rules without one are refused by the registration tools, or by us, before
Dataverse sees them.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar
from urllib.parse import urlsplit

from azure_bridge.secrets import references
from dataverse_client.types import is_guid
from runner.registrations.bridge import BridgeRegistration
from runner.registrations.endpoints import EndpointRegistration, WebhookEndpoint, WebhookKey
from runner.registrations.messages import FILTERED, IMAGES, MESSAGES, WITHOUT_STEPS, WITHOUT_TABLE, message_exists
from runner.registrations.model import CustomApiRegistration, StepRegistration
from runner.registrations.problems import Finding, Path, did_you_mean, nearest
from runner.registrations.stripe_events import PAYMENT_EVENT_TYPES, meant_event

LEARN = "https://learn.microsoft.com/power-apps/developer/data-platform"
REGISTER = f"{LEARN}/register-plug-in"
WEBHOOKS = f"{LEARN}/use-webhooks"
AZURE = f"{LEARN}/azure-integration"
CUSTOM_API = f"{LEARN}/customapi-tables"

STAGE_NOT_ALLOWED = 0x80044184
STEP_NOT_ALLOWED = 0x80044187
NO_IMAGES = 0x80044189
IMAGE_TYPE_NOT_ALLOWED = 0x8004416D
POST_IMAGE_TOO_EARLY = 0x8004416E

_UNIQUE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{1,7}_[A-Za-z0-9_]+\Z")

T = TypeVar("T")
Wrong: TypeAlias = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part of the file to look at: where it stands, its value, and which of its keys are broken."""

    path: Path
    value: T
    broken: frozenset[str] = frozenset()

    def wrong(self, message: str, hint: str, *path: str | int) -> Finding:
        return Finding(path=(*self.path, *path), message=message, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The file as far as it can be read. ``endpoints`` and ``custom_apis`` have the sound ones; their names all."""

    entities: Mapping[str, str] = field(default_factory=dict)
    steps: Sequence[Part[StepRegistration]] = ()
    endpoints: Mapping[str, EndpointRegistration] = field(default_factory=dict)
    endpoint_names: frozenset[str] = frozenset()
    custom_apis: Mapping[str, CustomApiRegistration] = field(default_factory=dict)
    custom_api_names: frozenset[str] = frozenset()
    bridge: Part[BridgeRegistration] | None = None

    def logical_name(self, entity: str | None) -> str | None:
        return None if entity is None else self.entities.get(entity, entity)


@dataclass(frozen=True, slots=True)
class StepRule:
    """A rule about one step."""

    check: Callable[[Part[StepRegistration], View], Wrong]
    reads: frozenset[str]
    url: str | None = None
    code: int | None = None


def message_is_known(step: Part[StepRegistration], view: View) -> Wrong:
    message = step.value.message
    if message not in view.custom_api_names and not message_exists(message):
        match = nearest(message, MESSAGES)
        hint = f"Did you mean {match}?" if match else "Custom APIs carry a publisher's prefix: new_CapturePayment."
        yield step.wrong(f"Dataverse has no message {message!r}.", hint, "message")


def message_runs_steps(step: Part[StepRegistration], view: View) -> Wrong:
    message = step.value.message
    if message in WITHOUT_STEPS:
        hint = "Register the messages it carries or causes instead, such as Create or Update."
        yield step.wrong(f"Dataverse runs no custom step on {message}.", hint, "message")


def message_has_table(step: Part[StepRegistration], view: View) -> Wrong:
    message, entity = step.value.message, step.value.entity
    if message in WITHOUT_TABLE and entity is not None:
        hint = "Remove entity, and look at Target in the plug-in."
        yield step.wrong(f"{message} belongs to no table, and this step names {entity}.", hint, "entity")


def asynchronous_after_commit(step: Part[StepRegistration], view: View) -> Wrong:
    if step.value.is_asynchronous and step.value.stage != 40:
        hint = "Use stage 40, or mode: sync."
        yield step.wrong(f"An asynchronous step cannot run at stage {step.value.stage}.", hint, "mode")


def filter_on_update_only(step: Part[StepRegistration], view: View) -> Wrong:
    if step.value.filtering_attributes and step.value.message not in FILTERED:
        hint = "Remove filtering_attributes; only Update sends some columns and not others."
        message = f"{step.value.message} cannot be filtered by columns."
        yield step.wrong(message, hint, "filtering_attributes")


def message_supports_images(step: Part[StepRegistration], view: View) -> Wrong:
    if step.value.images and step.value.message not in IMAGES:
        hint = f"Remove images, or retrieve the row in the plug-in. Messages with images: {', '.join(IMAGES)}."
        yield step.wrong(f"{step.value.message} supports no images.", hint, "images")


def image_kind_exists(step: Part[StepRegistration], view: View) -> Wrong:
    message = step.value.message
    for index, image in enumerate(step.value.images):
        for kind in sorted(_kinds(image.type) - IMAGES.get(message, _BOTH)):
            when = "before it is created" if kind == "pre" else "after it is deleted"
            hint = f"Use type: {'post' if kind == 'pre' else 'pre'}."
            yield step.wrong(f"{message} has no {kind}-image: there is no row {when}.", hint, "images", index, "type")


def post_image_after_operation(step: Part[StepRegistration], view: View) -> Wrong:
    for index, image in enumerate(step.value.images):
        if "post" in _kinds(image.type) and step.value.stage != 40:
            message = f"There is no post-image at stage {step.value.stage}: the row is not written yet."
            yield step.wrong(message, "Use stage 40, or type: pre.", "images", index, "type")


def image_aliases_differ(step: Part[StepRegistration], view: View) -> Wrong:
    seen: set[tuple[str, str]] = set()
    for index, image in enumerate(step.value.images):
        keys = {(kind, image.alias) for kind in _kinds(image.type)}
        if keys & seen:
            message = f"Another image of this step is called {image.alias!r}."
            yield step.wrong(message, "Give each image an alias of its own.", "images", index, "alias")
        seen |= keys


def run_as_is_a_user(step: Part[StepRegistration], view: View) -> Wrong:
    user = step.value.run_as
    if user is not None and not is_guid(user) and not references(user):
        hint = "Give the systemuserid, such as 6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11, or a reference: ${env:NAME}."
        yield step.wrong(f"{user!r} is not a user's id.", hint, "run_as")


def endpoint_exists(step: Part[StepRegistration], view: View) -> Wrong:
    name = step.value.endpoint
    if name is not None and name not in view.endpoint_names:
        hint = did_you_mean(name, sorted(view.endpoint_names)) if view.endpoint_names else "Add it under endpoints."
        yield step.wrong(f"There is no endpoint {name!r}.", hint, "endpoint")


def inline_needs_a_webhook(step: Part[StepRegistration], view: View) -> Wrong:
    endpoint = view.endpoints.get(step.value.endpoint or "")
    if step.value.delivery == "inline" and endpoint is not None and not isinstance(endpoint, WebhookEndpoint):
        message = "Dataverse does not wait for Service Bus, so nothing can be delivered inline over it."
        yield step.wrong(message, "Use delivery: deferred, or a webhook endpoint.", "delivery")


def inline_is_synchronous(step: Part[StepRegistration], view: View) -> Wrong:
    if step.value.delivery == "inline" and step.value.is_asynchronous:
        message = "An asynchronous step runs after the commit, so it cannot be delivered inline."
        yield step.wrong(message, "Use delivery: deferred, or mode: sync.", "delivery")


def _kinds(image_type: str) -> frozenset[str]:
    return _BOTH if image_type == "both" else frozenset({image_type})


_BOTH = frozenset({"pre", "post"})


def _rule(
    check: Callable[[Part[StepRegistration], View], Wrong], reads: str, url: str | None = None, code: int | None = None
) -> StepRule:
    return StepRule(check, frozenset(reads.split()), url, code)


STEP_RULES: tuple[StepRule, ...] = (
    _rule(message_is_known, "message", f"{LEARN}/org-service/use-messages"),
    _rule(message_runs_steps, "message", REGISTER, STEP_NOT_ALLOWED),
    _rule(message_has_table, "message entity", REGISTER, STEP_NOT_ALLOWED),
    _rule(asynchronous_after_commit, "stage mode", f"{REGISTER}#execution-mode"),
    _rule(
        filter_on_update_only,
        "message filtering_attributes",
        f"{LEARN}/best-practices/business-logic/include-filtering-attributes-plugin-registration",
    ),
    _rule(message_supports_images, "message images", f"{REGISTER}#define-entity-images", NO_IMAGES),
    _rule(image_kind_exists, "message images", f"{REGISTER}#define-entity-images", IMAGE_TYPE_NOT_ALLOWED),
    _rule(post_image_after_operation, "stage images", f"{REGISTER}#define-entity-images", POST_IMAGE_TOO_EARLY),
    _rule(image_aliases_differ, "images"),
    _rule(run_as_is_a_user, "run_as", f"{LEARN}/impersonate-a-user"),
    _rule(endpoint_exists, "endpoint"),
    _rule(inline_needs_a_webhook, "endpoint delivery", AZURE),
    _rule(inline_is_synchronous, "delivery mode"),
)


def steps_differ(view: View) -> Wrong:
    """No two steps are the same message, table, stage, plug-in and filter: it would run twice."""
    first: dict[tuple[object, ...], str] = {}
    for step in view.steps:
        if step.broken & {"message", "entity", "stage", "plugin", "filtering_attributes", "name"}:
            continue
        it = step.value
        key = (it.message, view.logical_name(it.entity), it.stage, it.plugin, frozenset(it.filtering_attributes))
        if key in first:
            message = f"The step {first[key]!r} is the same message, table, stage, plug-in and filter."
            yield step.wrong(message, "Remove one of them, or change what it runs for.")
        first.setdefault(key, it.name)


def step_names_differ(view: View) -> Wrong:
    """Traces and remote environments tell steps apart by name."""
    seen: set[str] = set()
    for step in view.steps:
        if step.value.name in seen and "name" not in step.broken:
            yield step.wrong(f"Another step is called {step.value.name!r}.", "Give each a name of its own.", "name")
        seen.add(step.value.name)


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


def custom_apis_are_messages(view: View) -> Wrong:
    """A unique name carries its publisher's prefix; a function has something to answer."""
    for name, api in view.custom_apis.items():
        if not _UNIQUE_NAME.match(name):
            hint = "Begin it with a publisher's prefix: new_QuotePayment."
            yield Finding(path=("custom_apis", name), message=f"{name!r} is no unique name.", hint=hint, url=CUSTOM_API)
        if api.is_function and not api.response_properties:
            hint = "Give it response_properties, or make it an action: is_function: false."
            yield Finding(path=("custom_apis", name), message="A function answers nothing.", hint=hint, url=CUSTOM_API)


def webhooks_can_be_reached(view: View) -> Wrong:
    """Dataverse posts to ports 80 and 443 only; a served emulator on this machine is not so particular."""
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
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "This is not an http or https address."
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return None if local or port in (None, 80, 443) else f"Dataverse does not post to port {port}, only to 80 and 443."


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


FileRule: TypeAlias = Callable[[View], Wrong]

FILE_RULES: tuple[FileRule, ...] = (
    steps_differ,
    step_names_differ,
    endpoints_keep_secrets,
    custom_apis_are_messages,
    webhooks_can_be_reached,
    events_are_applied,
    organization_is_an_id,
    bridge_tables_differ,
    statuses_differ,
)


def apply_rules(
    view: View, step_rules: Sequence[StepRule] = STEP_RULES, file_rules: Sequence[FileRule] = FILE_RULES
) -> Wrong:
    """Everything the rules find wrong."""
    for step in view.steps:
        yield from _apply(step_rules, step, view)
    for check in file_rules:
        yield from check(view)


def _apply(rules: Sequence[StepRule], step: Part[StepRegistration], view: View) -> Wrong:
    broken = step.broken
    for rule in rules:
        if rule.reads & broken:
            continue
        for finding in rule.check(step, view):
            yield replace(finding, code=rule.code, url=rule.url)
            # What can be said of a message that does not exist says nothing.
            broken |= {"message"} & set(finding.path[2:])
