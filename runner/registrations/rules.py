"""The rules by which Dataverse accepts registrations, as a table of small pure functions.

Each rule checks one part of the file. ``reads`` names the keys it depends on: if one of them is already known to be
wrong, the rule is skipped, so that a mistake is reported once. ``code`` is Dataverse's own error code; what rules
without one refuse is refused by the registration tools, or by us, before Dataverse sees it.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from azure_bridge.secrets import references
from dataverse_client.types import is_guid
from runner.registrations.endpoints import WebhookEndpoint
from runner.registrations.file_rules import FILE_RULES as ABOUT_THE_REST
from runner.registrations.file_rules import TOO_LONG, FileRule
from runner.registrations.identity import MAX_NAME, remote_name
from runner.registrations.messages import FILTERED, IMAGES, MESSAGES, WITHOUT_STEPS, WITHOUT_TABLE, message_exists
from runner.registrations.model import StepRegistration
from runner.registrations.pages import AZURE, CUSTOM_API, LEARN, REGISTER
from runner.registrations.problems import did_you_mean, nearest
from runner.registrations.table_rules import tables_are_whole
from runner.registrations.view import Part, View, Wrong

STAGE_NOT_ALLOWED = 0x80044184
STEP_NOT_ALLOWED = 0x80044187
NO_IMAGES = 0x80044189
IMAGE_TYPE_NOT_ALLOWED = 0x8004416D
POST_IMAGE_TOO_EARLY = 0x8004416E


@dataclass(frozen=True, slots=True)
class StepRule:
    """A rule about one step."""

    check: Callable[[Part[StepRegistration], View], Wrong]
    reads: frozenset[str]
    url: str | None = None
    code: int | None = None


def message_is_known(step: Part[StepRegistration], view: View) -> Wrong:
    message = step.value.message
    if message in view.custom_api_names:
        return
    match = next((name for name in view.custom_api_names if name.lower() == message.lower()), None)
    if match or not message_exists(message):
        match = match or nearest(message, MESSAGES)
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
        hint = "Remove entity, and look at the request in the plug-in."
        yield step.wrong(f"{message} belongs to no table, and this step names {entity}.", hint, "entity")


def custom_api_has_that_table(step: Part[StepRegistration], view: View) -> Wrong:
    message, entity = step.value.message, step.value.entity
    api = view.custom_apis.get(message)
    if api is None or entity is None or view.logical_name(entity) == view.logical_name(api.entity):
        return
    belongs = f"is bound to {api.entity}" if api.entity else "is bound to no table"
    yield step.wrong(f"{message} {belongs}, and this step names {entity}.", "Remove entity.", "entity")


def name_fits(step: Part[StepRegistration], view: View) -> Wrong:
    it = step.value
    listening = remote_name("", it.message, view.logical_name(it.entity))
    length = len(it.name) + len(listening)
    if length > MAX_NAME:
        message = f"Dataverse's name for the step, <name>{listening}, has {length} characters of at most {MAX_NAME}."
        yield step.wrong(message, "Shorten it.", "name")


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
        possible = _kinds(image.type) & IMAGES.get(step.value.message, _BOTH)
        if "post" in possible and step.value.stage != 40:
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
    _rule(custom_api_has_that_table, "message entity", CUSTOM_API, STEP_NOT_ALLOWED),
    _rule(name_fits, "name message entity", f"{LEARN}/reference/entities/sdkmessageprocessingstep", TOO_LONG),
    _rule(asynchronous_after_commit, "stage mode", f"{REGISTER}#execution-mode", STAGE_NOT_ALLOWED),
    _rule(
        filter_on_update_only,
        "message filtering_attributes",
        f"{LEARN}/best-practices/business-logic/include-filtering-attributes-plugin-registration",
    ),
    _rule(message_supports_images, "message images", f"{REGISTER}#define-entity-images", NO_IMAGES),
    _rule(image_kind_exists, "message images", f"{REGISTER}#define-entity-images", IMAGE_TYPE_NOT_ALLOWED),
    _rule(post_image_after_operation, "message stage images", f"{REGISTER}#define-entity-images", POST_IMAGE_TOO_EARLY),
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


FILE_RULES: tuple[FileRule, ...] = (steps_differ, step_names_differ, tables_are_whole, *ABOUT_THE_REST)


def apply_rules(
    view: View, step_rules: Sequence[StepRule] = STEP_RULES, file_rules: Sequence[FileRule] = FILE_RULES
) -> Wrong:
    """All findings of the rules."""
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
