"""Stripe as a simulation meets it: the in-process simulator, Stripe's test mode, or a compatible server.

Each side hands out a ``StripeClient`` whose calls are traced, and the events that happened as signed webhook
bytes. Where no webhook can reach us, the events are read from the API and signed here, so that they take the
same road through the receiver.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import stripe

from azure_bridge.clock import Clock
from runner.stripe_simulator import StripeSimulator
from runner.tracing.model import TraceSink
from runner.tracing.stripe_calls import TracingHTTPClient

#: Only signs what this process hands to its own receiver.
LOCAL_WEBHOOK_SECRET = "whsec_local_simulation"  # noqa: S105

_POLL_SECONDS = 1.0
_POLL_LIMIT = 60


class StripeSideError(Exception):
    """The chosen Stripe cannot be used, or did not answer as it should."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """A webhook delivery: the raw body and its ``Stripe-Signature`` header."""

    event_id: str
    event_type: str
    payload: bytes
    signature: str


class StripeSide(Protocol):
    title: str
    webhook_secret: str
    client: stripe.StripeClient

    def events(self, awaited: Sequence[str], about: Callable[[dict[str, Any]], bool]) -> list[SignedEvent]:
        """What happened since the last call, oldest first.

        ``awaited`` names event types that must be among them; ``about`` tells ours from other traffic.
        Raises StripeSideError when an awaited one does not come.
        """

    def complete_checkout(self, session_id: str) -> None:
        """Pay at the checkout page, as the customer would. Raises StripeSideError where only a person can."""


class SimulatorSide:
    """The simulator in this process: instant, offline, complete."""

    title = "in-process simulator"

    def __init__(self, clock: Clock, sink: TraceSink) -> None:
        self.simulator = StripeSimulator(clock=clock)
        self.webhook_secret = self.simulator.webhook_secret
        self.client = stripe.StripeClient(
            self.simulator.api_key,
            http_client=TracingHTTPClient(self.simulator.http_client(), sink, clock),
            max_network_retries=2,
        )
        self._seen = 0

    def events(self, awaited: Sequence[str], about: Callable[[dict[str, Any]], bool]) -> list[SignedEvent]:
        happened = self.simulator.events
        fresh = happened[self._seen :]
        self._seen = len(happened)
        return [
            SignedEvent(each.event["id"], each.event["type"], each.payload, each.signature)
            for each in self.simulator.deliveries(fresh)
        ]

    def complete_checkout(self, session_id: str) -> None:
        self.simulator.complete_checkout(session_id)


class ApiSide:
    """Stripe's API with a test key, or another server that speaks it."""

    webhook_secret = LOCAL_WEBHOOK_SECRET

    def __init__(self, key: str, api_base: str | None, clock: Clock, sink: TraceSink) -> None:
        if not key.startswith(("sk_test_", "rk_test_")):
            raise StripeSideError(
                "A simulation moves money only with test cards, so it needs a test key: set STRIPE_SECRET_KEY to "
                "one that starts with sk_test_. Live keys are refused here."
            )
        self.title = api_base or "Stripe test mode"
        transport = TracingHTTPClient(stripe.RequestsClient(timeout=(3, 30)), sink, clock)
        bases: dict[str, str] = {"api": api_base} if api_base else {}
        self.client = stripe.StripeClient(
            key,
            http_client=transport,
            max_network_retries=2,
            base_addresses=bases,  # type: ignore[arg-type]
        )
        self._clock = clock
        self._since = int(clock.now().timestamp()) - 5
        self._seen: set[str] = set()

    def events(self, awaited: Sequence[str], about: Callable[[dict[str, Any]], bool]) -> list[SignedEvent]:
        fresh: list[dict[str, Any]] = []
        for _ in range(_POLL_LIMIT):
            fresh += self._fresh(about)
            if set(awaited) <= {event["type"] for event in fresh}:
                return [self._sign(event) for event in sorted(fresh, key=lambda event: event["created"])]
            time.sleep(_POLL_SECONDS)
        missing = ", ".join(sorted(set(awaited) - {event["type"] for event in fresh}))
        raise StripeSideError(f"{self.title} listed no {missing} within {_POLL_LIMIT} s")

    def complete_checkout(self, session_id: str) -> None:
        raise StripeSideError(
            f"Only a customer can pay at {session_id}'s page. Use the simulator for --outcome checkout, or open the "
            "row's checkout URL in a browser and let the bridge receive the webhook."
        )

    def _fresh(self, about: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        listed = self.client.v1.events.list({"created": {"gte": self._since}, "limit": 100})
        events = [event.to_dict() for event in listed.auto_paging_iter()]
        ours = [event for event in events if event["id"] not in self._seen and about(event)]
        self._seen |= {event["id"] for event in ours}
        return ours

    def _sign(self, event: dict[str, Any]) -> SignedEvent:
        payload = orjson.dumps(event, default=str)
        signature = stripe.WebhookSignature.generate_signature_header(
            payload.decode(), self.webhook_secret, timestamp=int(self._clock.now().timestamp())
        )
        return SignedEvent(event["id"], event["type"], payload, signature)
