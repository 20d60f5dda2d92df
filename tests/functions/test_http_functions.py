"""What Stripe and Dataverse are answered by the Functions app: as `runner serve` answers them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest
from key_vault import URL as VAULT_URL
from key_vault import Vault

from azure_bridge import key_vault
from azure_bridge.clock import ManualClock
from azure_bridge.queues.contract import QueueUnavailableError
from azure_bridge.receiver import MAX_BODY_BYTES
from runner.intake.webhook import MAX_BODY
from runner.tracing.model import EventTraced


@pytest.fixture
def here(world):
    return world()


@pytest.fixture
def succeeded(here):
    """The delivery of a payment_intent.succeeded."""
    intent = here.service.stripe.client.v1.payment_intents.create({"amount": 1999, "currency": "usd"})
    here.stripe.pay(intent.id)
    return next(each for each in here.happened() if each.event["type"] == "payment_intent.succeeded")


def resigned(here, delivery, **changes):
    payload = json.dumps({**delivery.event, **changes}).encode()
    return replace(delivery, payload=payload, signature=here.stripe.sign(payload))


def test_an_event_is_on_the_queue_when_stripe_is_answered(here, succeeded) -> None:
    assert here.post(succeeded).status_code == 200
    assert [each.message.message_id for each in here.service.payments.peek()] == [succeeded.event["id"]]


def test_an_event_delivered_twice_is_one_message(here, succeeded) -> None:
    assert [here.post(succeeded).status_code for _ in range(2)] == [200, 200]
    assert here.service.payments.counts().active == 1


def test_a_forged_signature_is_refused(here, succeeded) -> None:
    forged = replace(succeeded, payload=succeeded.payload.replace(b"1999", b"9999"))
    answer = here.post(forged)
    assert (answer.status_code, here.service.payments.counts().active) == (400, 0)
    assert here.stripe.webhook_secret.encode() not in answer.get_body()


def test_an_event_signed_with_a_secret_that_was_rotated_a_moment_ago_is_taken(world, monkeypatch) -> None:
    vault = Vault(ManualClock(datetime.now(UTC)))
    vault.set("signing", "whsec_one")
    monkeypatch.setattr(key_vault, "_secret_client", vault.client)
    monkeypatch.setattr(key_vault, "ASK_AGAIN_AFTER", timedelta(0))
    here = world(key_vault_url=VAULT_URL, stripe_webhook_secret=("${keyvault:signing}",))
    vault.clock.advance(timedelta(minutes=1))
    vault.set("signing", "whsec_two")

    body = json.dumps({"id": "evt_1", "object": "event"}).encode()
    signatures = [here.stripe.sign(body, secret) for secret in ("whsec_two", "whsec_three")]
    answers = [
        here.host.post("stripe_webhook", "/stripe/webhook", body, Stripe_Signature=signature)
        for signature in signatures
    ]
    refused = b"None of the configured secrets signed this body"
    assert [answer.get_body().startswith(refused) for answer in answers] == [False, True]


def test_a_body_that_is_too_long_is_refused(here) -> None:
    answer = here.host.post("stripe_webhook", "/stripe/webhook", b" " * (MAX_BODY_BYTES + 1), Stripe_Signature="t=1")
    assert answer.status_code == 413


def test_a_live_event_in_a_test_deployment_is_acknowledged_and_goes_no_further(here, succeeded) -> None:
    answer = here.post(resigned(here, succeeded, livemode=True))
    assert (answer.status_code, answer.get_body()) == (200, b"live event in a test deployment")
    assert here.service.payments.counts().active == 0


def test_stripe_is_asked_to_come_again_when_the_queue_is_away(here, succeeded, monkeypatch) -> None:
    def away(_):
        raise QueueUnavailableError("no connection")

    monkeypatch.setattr(here.service.payments, "send", away)
    answer = here.post(succeeded)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_what_happens_is_told_to_the_trace(here, succeeded) -> None:
    here.post(succeeded)
    told = [(each.station, each.event_id) for each in here.traces.records if isinstance(each, EventTraced)]
    assert told == [("received", succeeded.event["id"]), ("queued", succeeded.event["id"])]


def test_a_notification_is_on_the_queue_when_dataverse_is_answered(here) -> None:
    here.create_payment()
    [told] = here.notifications()
    assert [here.notify(told).status_code for _ in range(2)] == [202, 202]
    assert here.service.events.counts().active == 1


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("", b"{}", {}, 401),
        ("?code=another-key", b"{}", {}, 401),
        ("?code=the-key-dataverse-sends", b"{", {}, 400),
        ("?code=the-key-dataverse-sends", b"{}", {"Content_Type": "text/xml"}, 415),
        ("?code=the-key-dataverse-sends", b" " * (MAX_BODY + 1), {}, 413),
    ],
    ids=["no key", "another key", "no notification", "no json", "too long"],
)
def test_what_is_not_dataverses_is_refused(here, path, body, headers, status) -> None:
    answer = here.host.post("dataverse_webhook", f"/dataverse/webhook{path}", body, **headers)
    assert (answer.status_code, here.service.events.counts().active) == (status, 0)


def test_without_any_key_nobody_is_let_in_from_the_internet(world) -> None:
    here = world(dataverse_webhook_key=())
    answer = here.host.post("dataverse_webhook", "/dataverse/webhook", b"{}", Host="127.0.0.1")
    assert answer.status_code == 401


def test_the_app_is_healthy_when_its_parts_are_open(here) -> None:
    request = func.HttpRequest("GET", "https://app.example/healthz", body=b"")
    assert here.host.call("healthz", request).status_code == 200
