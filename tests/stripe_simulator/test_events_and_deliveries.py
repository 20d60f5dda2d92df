"""What happened is told in signed events, in any order and as often as Stripe likes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import stripe

from azure_bridge.clock import SystemClock
from runner.stripe_simulator import StripeSimulator


def test_an_event_names_the_request_that_caused_it(simulator, intents):
    intent = intents.create({"amount": 1999, "currency": "usd"}, {"idempotency_key": "row-1:create"})

    event = simulator.events[0]
    assert event["request"] == {"id": intent.last_response.request_id, "idempotency_key": "row-1:create"}
    assert event["data"]["object"]["id"] == intent.id
    assert (event["api_version"], event["livemode"]) == (stripe.api_version, False)
    assert isinstance(event["created"], int)


def test_what_a_customer_does_has_no_request(simulator, intents):
    simulator.pay(intents.create({"amount": 1999, "currency": "usd"}).id)

    assert simulator.events[-1]["request"] == {"id": None, "idempotency_key": None}


def test_an_event_shows_the_object_as_it_was(simulator, intents):
    simulator.pay(intents.create({"amount": 1999, "currency": "usd"}).id)

    assert simulator.events[0]["data"]["object"]["status"] == "requires_payment_method"


def test_every_delivery_is_signed(charge_with, simulator):
    charge_with()

    for delivery in simulator.deliveries():
        assert stripe.WebhookSignature.verify_header(delivery.payload, delivery.signature, simulator.webhook_secret)
        assert json.loads(delivery.payload) == delivery.event


def test_the_sdk_accepts_a_delivery_of_now():
    simulator = StripeSimulator(clock=SystemClock())
    simulator.client().v1.payment_intents.create({"amount": 1999, "currency": "usd"})
    [delivery] = simulator.deliveries()

    event = stripe.Webhook.construct_event(delivery.payload, delivery.signature, simulator.webhook_secret)
    assert event.type == "payment_intent.created"


def test_another_secret_or_an_old_signature_is_refused(simulator):
    payload = b'{"object": "event"}'

    for signature in (simulator.sign(payload, "whsec_other"), simulator.sign(payload, timestamp=1)):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(payload, signature, simulator.webhook_secret, tolerance=300)


def test_deliveries_come_twice_late_and_in_any_order(simulator, charge_with):
    charge_with()
    usual = [delivery.event["id"] for delivery in simulator.deliveries()]

    twice = [delivery.event["id"] for delivery in simulator.deliveries(twice=True)]
    shuffled = [delivery.event["id"] for delivery in simulator.deliveries(shuffle=3)]
    [late] = simulator.deliveries(simulator.events[:1], late=timedelta(days=2))

    assert twice == [event_id for event_id in usual for _ in range(2)]
    assert sorted(shuffled) == sorted(usual) != shuffled
    assert shuffled == [delivery.event["id"] for delivery in simulator.deliveries(shuffle=3)]
    assert f"t={late.event['created'] + 2 * 86400}," in late.signature


def test_events_can_be_read_back(client, clock, charge_with, intents):
    charge_with()
    clock.advance(timedelta(minutes=5))
    late = intents.create({"amount": 1999, "currency": "usd"})

    def types(**params):
        return [event.type for event in client.v1.events.list(params)]

    assert types(type="charge.*") == ["charge.updated", "charge.succeeded"]
    assert types(types=["payment_intent.succeeded", "charge.failed"]) == ["payment_intent.succeeded"]
    assert types(created={"gte": late.created}) == ["payment_intent.created"]
    assert len(list(client.v1.events.list({"limit": 1}).auto_paging_iter())) == 5


def test_undelivered_events_can_be_asked_for(simulator, client, charge_with):
    charge_with()
    simulator.acknowledge(simulator.events[0]["id"])

    undelivered = [event.id for event in client.v1.events.list({"delivery_success": False})]
    assert undelivered == [event["id"] for event in reversed(simulator.events[1:])]
    assert client.v1.events.retrieve(simulator.events[0]["id"]).type == "payment_intent.created"


def test_events_are_forgotten_after_thirty_days(client, clock, charge_with):
    charge_with()
    clock.advance(timedelta(days=30))

    assert client.v1.events.list().data == []


def test_a_webhook_endpoint_cannot_ask_for_events_stripe_does_not_have(client):
    endpoints, url = client.v1.webhook_endpoints, "https://example.com/stripe"

    endpoint = endpoints.create({"url": url, "enabled_events": ["payment_intent.succeeded"]})
    assert endpoint.secret.startswith("whsec_")
    assert not hasattr(endpoints.list().data[0], "secret")
    with pytest.raises(stripe.InvalidRequestError):
        endpoints.create({"url": url, "enabled_events": ["payment_intent.failed"]})
    assert endpoints.delete(endpoint.id).deleted


def test_the_same_seed_gives_the_same_ids():
    def ids():
        simulator = StripeSimulator(seed=11)
        simulator.client().v1.payment_intents.create({"amount": 1999, "currency": "usd"})
        return [*simulator.payment_intents, simulator.events[0]["id"]]

    assert ids() == ids()
