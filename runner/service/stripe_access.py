"""The Stripe account of the settings: with a live or test key, at a compatible server, or simulated in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import stripe

from azure_bridge.clock import Clock
from azure_bridge.secrets import LiveSecrets, Secrets
from runner.service.stripe_key import CurrentKeyClient, StripeKey
from runner.settings import Settings, SettingsError
from runner.stripe_simulator import WEBHOOK_SECRET, StripeSimulator
from runner.tracing.model import TraceSink
from runner.tracing.stripe_calls import TracingHTTPClient

#: Seconds to connect and to wait for an answer: shorter than the 60 seconds Dataverse waits for ours.
_TIMEOUT = (3, 30)
_RETRIES = 2


@dataclass(frozen=True, slots=True)
class StripeAccess:
    """``client`` is what plug-ins get; ``webhook_secrets`` sign the events. ``simulator`` None: Stripe is elsewhere."""

    title: str
    client: stripe.StripeClient
    webhook_secrets: LiveSecrets
    simulator: StripeSimulator | None = None

    def close(self) -> None:
        if self.simulator is not None:
            self.simulator.close()


def stripe_access(
    settings: Settings, secrets: Secrets, clock: Clock, sink: TraceSink, *, file: Path | None = None
) -> StripeAccess:
    """Access as ``STRIPE_SECRET_KEY`` and ``STRIPE_API_BASE`` say; the simulator, kept in ``file``, without both.

    Raises:
      AccountFileError: the file cannot be used, or another process uses it.
      SecretError, SettingsError: what a setting refers to cannot be looked up, or is of the other mode; or real rows
        would be given the simulator's intents.
    """
    if not settings.stripe_secret_key and not settings.stripe_api_base:
        if settings.is_real_environment:
            raise SettingsError(
                f"STRIPE_SECRET_KEY is not set, and {settings.dataverse_url} is a real environment: its rows would "
                "name PaymentIntents of a simulator, which end with this process. Set a test key."
            )
        signing = LiveSecrets(settings.stripe_webhook_secret or (WEBHOOK_SECRET,), secrets)
        simulator = StripeSimulator(clock=clock, webhook_secret=signing()[0], file=file)
        client = _client(simulator.api_key, simulator.http_client(), None, clock, sink)
        return StripeAccess("in-process simulator", client, signing, simulator)
    key = StripeKey(settings.stripe_secret_key or "sk_test_local", settings.stripe_live, secrets)
    client = _client(key(), CurrentKeyClient(key, timeout=_TIMEOUT), settings.stripe_api_base, clock, sink)
    mode = "live mode" if settings.stripe_live else "test mode"
    signing = LiveSecrets(settings.stripe_webhook_secret, secrets)
    # So that what cannot be looked up is told at the start.
    signing()
    return StripeAccess(settings.stripe_api_base or f"Stripe in {mode}", client, signing)


def _client(
    key: str, transport: stripe.HTTPClient, base: str | None, clock: Clock, sink: TraceSink
) -> stripe.StripeClient:
    bases: dict[str, str] = {"api": base} if base else {}
    return stripe.StripeClient(
        key,
        http_client=TracingHTTPClient(transport, sink, clock),
        max_network_retries=_RETRIES,
        base_addresses=bases,  # type: ignore[arg-type]  # a TypedDict with all keys optional
    )
