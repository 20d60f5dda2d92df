"""Notes on what registrations do in the embedded Dataverse but cannot do from outside a real one.

Sources: https://learn.microsoft.com/power-apps/developer/data-platform/use-webhooks
  https://learn.microsoft.com/power-apps/developer/data-platform/azure-integration
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.registrations.endpoints import WebhookEndpoint
from runner.registrations.model import Registrations, StepRegistration
from runner.registrations.pages import AZURE, CUSTOM_API, WEBHOOKS

#: Seconds Dataverse waits for a synchronous webhook.
WEBHOOK_TIMEOUT = 60

_POST_OPERATION = 40
_PIPELINE = "https://learn.microsoft.com/power-apps/developer/data-platform/event-framework"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteNote:
    """One difference in a remote environment, the steps it concerns, and where it is documented."""

    message: str
    url: str
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        concerned = f" Concerns: {', '.join(self.steps)}." if self.steps else ""
        return f"{self.message}{concerned} [{self.url}]"


def remote_notes(registrations: Registrations) -> list[RemoteNote]:
    """All notes on a file whose steps are called from a remote environment."""
    return [*_step_notes(registrations), *_endpoint_notes(registrations), *_api_notes(registrations)]


def _deferred_early(step: StepRegistration) -> bool:
    return step.delivery == "deferred" and step.stage < _POST_OPERATION


def _deferred_late(step: StepRegistration) -> bool:
    return step.delivery == "deferred" and step.stage == _POST_OPERATION and not step.is_asynchronous


def _inline_early(step: StepRegistration) -> bool:
    return step.delivery == "inline" and step.stage < _POST_OPERATION


def _too_slow(step: StepRegistration) -> bool:
    # The limit nobody chose is the pipeline's own, which no webhook reaches.
    return "timeout" in step.model_fields_set and step.delivery == "inline" and step.timeout > WEBHOOK_TIMEOUT


_NOTES: tuple[tuple[Callable[[StepRegistration], bool], str, str], ...] = (
    (
        _deferred_early,
        "Deferred steps of stages 10 and 20 run after the commit: they cannot stop the operation, as delivery: inline "
        "can, and what they change in Target is written afterwards, by an update of its own.",
        _PIPELINE,
    ),
    (
        _deferred_late,
        "Deferred synchronous steps of stage 40 run after the commit: they cannot stop the operation, as "
        "delivery: inline can.",
        _PIPELINE,
    ),
    (
        _inline_early,
        "Inline steps can stop the operation, but Dataverse reads only the status of the answer: what they change in "
        "Target is written after the commit, by an update of its own.",
        WEBHOOKS,
    ),
    (
        _too_slow,
        f"Dataverse waits {WEBHOOK_TIMEOUT} seconds for an inline step, and these may take longer: lower timeout.",
        WEBHOOKS,
    ),
)


def _step_notes(registrations: Registrations) -> Iterator[RemoteNote]:
    for concerns, message, url in _NOTES:
        names = tuple(step.name for step in registrations.steps if concerns(step))
        if names:
            yield RemoteNote(message=message, url=url, steps=names)


def _endpoint_notes(registrations: Registrations) -> Iterator[RemoteNote]:
    for name, endpoint in registrations.endpoints.items():
        if not isinstance(endpoint, WebhookEndpoint) and endpoint.message_format != "json":
            message = f"Endpoint {name} sends {endpoint.message_format}, which the runner refuses: use json."
            yield RemoteNote(message=message, url=AZURE)


def _api_notes(registrations: Registrations) -> Iterator[RemoteNote]:
    with_plugins = [name for name, api in registrations.custom_apis.items() if api.plugin]
    if with_plugins:
        message = (
            "Only a .NET plug-in can be the main operation of a custom API. Plug-ins of these run after the commit, "
            f"so that they cannot refuse, and nobody gets their response properties: {', '.join(with_plugins)}."
        )
        yield RemoteNote(message=message, url=CUSTOM_API)
