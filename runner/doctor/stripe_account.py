"""Checks of the Stripe account: the key, and the webhook endpoint with its events.

Source: https://docs.stripe.com/api/webhook_endpoints
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import stripe

from runner.doctor.diagnosis import Diagnosis, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Collection

KEY = "Stripe key"
WEBHOOK = "Stripe webhook"

_EVERY_EVENT = "*"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def key(client: stripe.StripeClient) -> Diagnosis:
    """Whether Stripe accepts the key, and whether it moves real money."""
    try:
        balance = client.v1.balance.retrieve()
    except stripe.AuthenticationError as error:
        return failed(KEY, _sentence(error), "Set STRIPE_SECRET_KEY to a key that has not been rolled or revoked.")
    except stripe.PermissionError as error:
        return failed(KEY, _sentence(error), "Let the restricted key read balances, and write PaymentIntents.")
    except stripe.StripeError as error:
        return failed(KEY, _sentence(error), "Check that this machine reaches api.stripe.com, then try again.")
    return ok(KEY, "live mode: real money moves" if balance.livemode else "test mode")


def webhook(
    client: stripe.StripeClient, public_url: str, path: str, events: Collection[str], secrets: Collection[str]
) -> Iterator[Diagnosis]:
    """Whether an endpoint of the account leads to ``path`` under ``public_url`` and brings these events.

    ``secrets`` are those that events may be signed with.
    """
    try:
        endpoints = list(client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter())
    except stripe.StripeError as error:
        yield failed(WEBHOOK, _sentence(error), "Let the restricted key read webhook endpoints.")
        return
    url = public_url.rstrip("/") + path
    ours = [each for each in endpoints if str(each.url).rstrip("/") == url]
    if not ours:
        yield _unknown(url, len(endpoints))
    for endpoint in ours:
        yield from _endpoint(endpoint, events)
    if not secrets:
        yield failed(WEBHOOK, "no signing secret is known", "Set STRIPE_WEBHOOK_SECRET to the endpoint's whsec_...")


def _unknown(url: str, others: int) -> Diagnosis:
    finding = f"none of the account's {others} endpoints leads to {url}"
    if urlsplit(url).hostname in _LOOPBACK:
        advice = f"Forward events with: stripe listen --forward-to {url}; or set RUNNER_PUBLIC_URL."
        return warning(WEBHOOK, finding, advice)
    return failed(WEBHOOK, finding, f"Add {url} under Developers > Webhooks, or correct RUNNER_PUBLIC_URL.")


def _endpoint(endpoint: stripe.WebhookEndpoint, events: Collection[str]) -> Iterator[Diagnosis]:
    wrong = list(_faults(endpoint, events))
    yield from wrong
    if not wrong:
        yield ok(WEBHOOK, f"{endpoint.id} brings the {len(events)} events that are applied")


def _faults(endpoint: stripe.WebhookEndpoint, events: Collection[str]) -> Iterator[Diagnosis]:
    if endpoint.status != "enabled":
        yield failed(WEBHOOK, f"{endpoint.id} is {endpoint.status}", "Enable it under Developers > Webhooks.")
    if not str(endpoint.url).startswith("https://"):
        yield failed(WEBHOOK, f"{endpoint.url} is not https", "Serve https: live mode takes nothing else.")
    if absent := _not_sent(endpoint.enabled_events, events):
        advice = "Select them in the endpoint's events, or remove them from bridge.events."
        yield failed(WEBHOOK, f"{endpoint.id} does not send {', '.join(absent)}", advice)
    if endpoint.api_version not in (None, stripe.api_version):
        finding = f"{endpoint.id} sends events of API version {endpoint.api_version}, not {stripe.api_version}"
        yield warning(WEBHOOK, finding, "Make a new endpoint with the version of this library, then delete this one.")


def _not_sent(enabled: Iterable[str], events: Collection[str]) -> list[str]:
    chosen = set(enabled)
    return [] if _EVERY_EVENT in chosen else sorted(set(events) - chosen)


def _sentence(error: stripe.StripeError) -> str:
    if isinstance(error, stripe.APIConnectionError):
        # Its own words are a paragraph, and send people to Stripe's support.
        return "Stripe cannot be reached"
    return " ".join((error.user_message or str(error) or type(error).__name__).split())
