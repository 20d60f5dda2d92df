"""The simulator's events reach the account's endpoints as Stripe's do: signed, to who asked, until they are taken."""

from __future__ import annotations

import json
import threading

import pytest
import stripe

from runner.service.stripe_webhooks import StripeWebhooks, pause_before
from runner.stripe_simulator import StripeSimulator

BOTH = {"payment_intent.created", "payment_intent.succeeded"}


class Endpoint:
    """An address that takes events: ``taken`` in the order they came. ``refusing`` answers this many with 500 first."""

    def __init__(self, refusing: int = 0) -> None:
        self.taken: list[dict] = []
        self.signatures: list[tuple[bytes, str]] = []
        self._refusing = refusing
        self._changed = threading.Condition()

    async def __call__(self, scope, receive, send) -> None:
        message = await receive()
        status = 500 if self._refusing else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        if self._refusing:
            self._refusing -= 1
            return
        with self._changed:
            self.taken.append(json.loads(message["body"]))
            self.signatures.append((message["body"], dict(scope["headers"])[b"stripe-signature"].decode()))
            self._changed.notify_all()

    def wait_for(self, number: int) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.taken) >= number, 30)
        return [event["type"] for event in self.taken]


@pytest.fixture
def simulator() -> StripeSimulator:
    return StripeSimulator(seed=3)


@pytest.fixture
def ask(simulator):
    return lambda url, *types: simulator.client().v1.webhook_endpoints.create({"url": url, "enabled_events": types})


@pytest.fixture
def pay(simulator):
    def pay() -> None:
        intent = simulator.client().v1.payment_intents.create({"amount": 1999, "currency": "usd"})
        simulator.pay(intent.id)

    return pay


def undelivered(simulator: StripeSimulator) -> list[str]:
    return [event["type"] for event in simulator.events if event["pending_webhooks"]]


def test_an_event_arrives_signed_at_whoever_asked_for_it(simulator, ask, pay, serve) -> None:
    endpoint = Endpoint()
    ask(serve(endpoint), "payment_intent.succeeded")
    with StripeWebhooks(simulator):
        pay()
        assert endpoint.wait_for(1) == ["payment_intent.succeeded"]
    [(body, signature)] = endpoint.signatures
    assert stripe.WebhookSignature.verify_header(body, signature, simulator.webhook_secret, tolerance=300)


def test_endpoints_get_the_enabled_events_they_asked_for(simulator, ask, pay, serve) -> None:
    endpoint, other = Endpoint(), Endpoint()
    ask(serve(endpoint), *BOTH)
    disabled = ask(serve(other), "*")
    simulator.client().v1.webhook_endpoints.update(disabled.id, {"disabled": True})
    with StripeWebhooks(simulator):
        pay()
        assert set(endpoint.wait_for(2)) == BOTH
    assert other.taken == []


def test_an_event_that_is_not_taken_comes_again(simulator, ask, pay, serve) -> None:
    endpoint = Endpoint(refusing=2)
    ask(serve(endpoint), "payment_intent.succeeded")
    with StripeWebhooks(simulator):
        pay()
        assert endpoint.wait_for(1) == ["payment_intent.succeeded"]


def test_what_happened_while_nobody_delivered_is_delivered_later(simulator, ask, pay, serve) -> None:
    pay()
    endpoint = Endpoint()
    ask(serve(endpoint), *BOTH)
    with StripeWebhooks(simulator):
        assert set(endpoint.wait_for(2)) == BOTH


def test_events_after_the_end_stay_undelivered(simulator, ask, pay, serve) -> None:
    ask(serve(Endpoint()), "payment_intent.succeeded")
    with StripeWebhooks(simulator) as sending:
        sending.stop()
        pay()
    assert "payment_intent.succeeded" in undelivered(simulator)


def test_each_further_attempt_waits_twice_as_long_up_to_a_minute() -> None:
    assert [pause_before(attempt) for attempt in (0, 1, 2, 3, 8)] == [0, 0.5, 1, 2, 60]


def test_however_long_an_endpoint_is_away_it_is_tried_again() -> None:
    """After a night of attempts, twice as long is more than a float can hold."""
    assert pause_before(5_000) == 60
