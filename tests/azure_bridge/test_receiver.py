"""What becomes of the bytes Stripe posts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from stripe import WebhookSignature

from azure_bridge.clock import ManualClock
from azure_bridge.errors import (
    EventTooLargeError,
    EventUnreadableError,
    SecretMissingError,
    SignatureRefusedError,
)
from azure_bridge.payment_event import decode
from azure_bridge.receiver import Accepted, Ignored, StripeReceiver

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
SECRET = "whsec_the_current_one"


class Notes:
    """An observer that remembers what was received."""

    def __init__(self) -> None:
        self.received_events: list[tuple[str, str, str]] = []

    def received(self, event_id: str, event_type: str, *, note: str = "") -> None:
        self.received_events.append((event_id, event_type, note))


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def receiver(configuration, notes):
    return StripeReceiver(
        configuration, lambda: [SECRET], clock=ManualClock(NOW), observer=notes, max_body_bytes=10_000
    )


def signed(event, *, secret=SECRET, at=NOW) -> tuple[bytes, str]:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return body, WebhookSignature.generate_signature_header(body.decode("latin-1"), secret, int(at.timestamp()))


def test_a_signed_event_becomes_a_message_named_after_it(receiver, snapshot):
    reception = receiver.receive(*signed(snapshot("payment_intent.succeeded", amount_received=12_900)))

    assert isinstance(reception, Accepted)
    message = reception.message
    assert (message.message_id, message.subject) == ("evt_1", "payment_intent.succeeded")
    assert message.session_id == reception.event.row_id == "7b1f4a0e-2f52-ee11-be6f-000d3a2f9c11"
    assert decode(message.body) == reception.event


def test_neither_the_client_secret_nor_the_signing_secret_travels(receiver, snapshot):
    message = receiver.receive(*signed(snapshot("payment_intent.succeeded"))).message
    assert b"secret" not in message.body
    with pytest.raises(SignatureRefusedError) as refusal:
        receiver.receive(*signed(snapshot("payment_intent.succeeded"), secret="whsec_wrong"))
    assert SECRET not in str(refusal.value)


def test_any_of_several_secrets_may_have_signed(configuration, snapshot):
    receiver = StripeReceiver(configuration, lambda: ["whsec_the_next_one", SECRET], clock=ManualClock(NOW))
    assert isinstance(receiver.receive(*signed(snapshot("payment_intent.succeeded"))), Accepted)


def test_a_rotated_secret_needs_no_restart(configuration, snapshot):
    secrets = ["whsec_the_old_one"]
    receiver = StripeReceiver(configuration, lambda: secrets, clock=ManualClock(NOW))
    request = signed(snapshot("payment_intent.succeeded"))
    with pytest.raises(SignatureRefusedError):
        receiver.receive(*request)

    secrets[:] = [SECRET]

    assert isinstance(receiver.receive(*request), Accepted)


def test_a_signature_is_good_for_five_minutes_and_one_from_a_fast_clock_is_good_too(receiver, snapshot):
    event = snapshot("payment_intent.succeeded")
    for age in (timedelta(seconds=300), timedelta(hours=-1)):
        assert isinstance(receiver.receive(*signed(event, at=NOW - age)), Accepted)
    with pytest.raises(SignatureRefusedError, match="301 s old"):
        receiver.receive(*signed(event, at=NOW - timedelta(seconds=301)))


@pytest.mark.parametrize(
    "header", [None, "", "junk", "t=1", "t=,v1=ab", "v1=ab", "t=1,v1=é", "t=1780000000,v0=ab", "t=1,v1", "=,=,="]
)
def test_a_missing_or_garbled_signature_is_refused(receiver, snapshot, header):
    body, _ = signed(snapshot("payment_intent.succeeded"))
    with pytest.raises(SignatureRefusedError) as refusal:
        receiver.receive(body, header)
    assert refusal.value.http_status == 400


def test_a_changed_body_is_refused(receiver, snapshot):
    body, header = signed(snapshot("payment_intent.succeeded"))
    with pytest.raises(SignatureRefusedError):
        receiver.receive(body.replace(b"12900", b"12901"), header)


def test_without_any_secret_stripe_is_asked_to_come_again(configuration, snapshot):
    receiver = StripeReceiver(configuration, list, clock=ManualClock(NOW))
    with pytest.raises(SecretMissingError) as refusal:
        receiver.receive(*signed(snapshot("payment_intent.succeeded")))
    assert refusal.value.http_status == 503


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b'{"object": "v2.core.event", "id": "evt_1", "type": "v1.billing.meter"}', "thin event"),
        (b'{"object": "event"}', "id, type, created, data.object"),
        (b'{"id": "evt_1", "type": "x", "created": 1e99, "data": {"object": {}}}', "created"),
        (b'{"id": "evt_1", "type": "x", "created": 99999999999999999, "data": {"object": {}}}', "created"),
        (b'{"id": "evt\\u00e9", "type": "x", "created": 1, "data": {"object": {}}}', "id is missing or malformed"),
        (b'{"id": "evt_1", "type": "x", "created": 1, "data": []}', "data.object"),
    ],
)
def test_what_is_signed_and_no_snapshot_event_is_refused_in_words(receiver, body, complaint):
    with pytest.raises(EventUnreadableError, match=complaint) as refusal:
        receiver.receive(*signed(body))
    assert refusal.value.http_status == 400


def test_a_body_that_is_not_utf8_is_refused(receiver):
    with pytest.raises(EventUnreadableError, match="UTF-8"):
        receiver.receive(b"\xff\xfe", "t=1,v1=ab")


def test_a_huge_body_is_refused_before_it_is_hashed(receiver):
    with pytest.raises(EventTooLargeError) as refusal:
        receiver.receive(b"x" * 10_001, "t=1,v1=ab")
    assert refusal.value.http_status == 413


@pytest.mark.parametrize(
    ("event_type", "livemode", "reason"),
    [
        ("payment_intent.succeeded", True, "live event in a test deployment"),
        ("customer.created", False, "not among the events"),
        ("invoice.paid", False, "carries no payment"),
    ],
)
def test_a_genuine_event_that_is_not_for_us_is_accepted_noted_and_not_queued(
    receiver, notes, snapshot, event_type, livemode, reason
):
    object_type = "invoice" if event_type == "invoice.paid" else "payment_intent"
    reception = receiver.receive(*signed(snapshot(event_type, livemode=livemode, object=object_type)))

    assert isinstance(reception, Ignored)
    assert reason in reception.reason
    assert notes.received_events == [("evt_1", event_type, reception.reason)]
