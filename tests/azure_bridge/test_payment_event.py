"""What is kept of a Stripe event, and how it travels."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_bridge.errors import EventUnreadableError, PaymentEventError, UnknownVersionError
from azure_bridge.payment_event import (
    MAX_BYTES,
    VERSION,
    DisputeFact,
    PaymentEvent,
    RefundFact,
    decode,
    encode,
)
from azure_bridge.stripe_events import check_snapshot, payment_event

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "stripe-events"
PAYMENT_ID = "7b1f4a0e-2f52-ee11-be6f-000d3a2f9c11"
ORDER_ID = "91c3d5f7-2f52-ee11-be6f-000d3a2f9c22"

FULL = PaymentEvent(
    event_id="evt_1",
    event_type="refund.updated",
    created=datetime(2026, 11, 22, 18, tzinfo=UTC),
    livemode=False,
    object_id="re_1",
    intent_id="pi_1",
    currency="eur",
    refund=RefundFact(refund_id="re_1", status="succeeded", amount=2_900),
    dispute=DisputeFact(dispute_id="du_1", status="lost", reason="fraudulent"),
)


@pytest.fixture
def read(payments, orders):
    return lambda event: payment_event(check_snapshot(event), (payments, orders))


def test_a_failed_attempt_says_why(read, snapshot):
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "Your card has no funds."}
    event = read(snapshot("payment_intent.payment_failed", last_payment_error=error))
    assert (event.failure_code, event.decline_code) == ("card_declined", "insufficient_funds")
    assert event.failure_message == "Your card has no funds."


@pytest.mark.parametrize("charges", [{"data": 5}, {"data": {"a": 1}}, {"data": []}, {"data": ["ch_1"]}, []], ids=str)
def test_charges_that_are_no_list_of_charges_say_nothing(read, snapshot, charges):
    assert read(snapshot("payment_intent.payment_failed", charges=charges)).failure_code is None


def test_an_old_intent_says_why_in_its_charges(read, snapshot):
    charges = {"data": [{"failure_code": "expired_card", "failure_message": "Expired."}, {"failure_code": "older"}]}
    event = read(snapshot("payment_intent.payment_failed", charges=charges))
    assert (event.failure_code, event.failure_message) == ("expired_card", "Expired.")


def test_a_checkout_tells_whether_it_was_paid(read, snapshot):
    event = read(
        snapshot(
            "checkout.session.completed",
            object="checkout.session",
            id="cs_1",
            payment_intent="pi_9",
            payment_status="unpaid",
            amount_total=500,
        )
    )
    assert (event.checkout_session_id, event.intent_id, event.payment_status) == ("cs_1", "pi_9", "unpaid")
    assert event.amount == 500


def test_an_expanded_intent_counts_by_its_id(read, snapshot):
    event = read(snapshot("charge.dispute.created", object="dispute", id="du_1", payment_intent={"id": "pi_9"}))
    assert event.intent_id == "pi_9"


def test_releasing_an_authorization_is_no_refund(read, snapshot):
    charge = {"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "amount_refunded": 12_900}
    assert read(snapshot("charge.refunded", **charge, captured=False)).amount_refunded is None
    assert read(snapshot("charge.refunded", **charge, captured=True)).amount_refunded == 12_900


@pytest.mark.parametrize(
    ("metadata", "row"),
    [
        ({"CRM_PaymentId": PAYMENT_ID.upper()}, ("new_payment", PAYMENT_ID)),
        ({"CRM_PaymentId": f" {{{PAYMENT_ID}}} "}, ("new_payment", PAYMENT_ID)),
        ({"CRM_SalesOrderId": ORDER_ID}, ("salesorder", ORDER_ID)),
        ({"CRM_PaymentId": PAYMENT_ID, "CRM_SalesOrderId": ORDER_ID}, ("new_payment", PAYMENT_ID)),
        (
            {"CRM_PaymentId": PAYMENT_ID, "CRM_SalesOrderId": ORDER_ID, "CRM_Table": "salesorder"},
            ("salesorder", ORDER_ID),
        ),
        ({"CRM_PaymentId": "PAY-1042"}, (None, None)),
        ({"CRM_PaymentId": 7, "CRM_Table": ["new_payment"]}, (None, None)),
        ({}, (None, None)),
        (None, (None, None)),
        ("garbage", (None, None)),
    ],
)
def test_metadata_names_the_row_and_garbage_names_none(read, snapshot, metadata, row):
    event = read(snapshot("payment_intent.succeeded", metadata=metadata))
    assert (event.row_table, event.row_id) == row


def test_an_unknown_organization_is_kept_because_it_says_the_event_is_not_ours(read, snapshot):
    event = read(snapshot("payment_intent.succeeded", metadata={"CRM_OrganizationId": " Org1A2B "}))
    assert event.organization_id == "org1a2b"


def test_an_event_survives_the_queue():
    assert decode(encode(FULL)) == FULL


def test_an_encoded_event_has_no_nulls():
    assert b"null" not in encode(FULL)


def test_a_newer_bridge_may_add_fields_and_leave_others_out():
    body = orjson.loads(encode(FULL)) | {"colour": "blue"}
    del body["currency"]
    assert decode(orjson.dumps(body)) == replace(FULL, currency=None)


def test_an_event_of_a_newer_version_is_refused():
    with pytest.raises(UnknownVersionError, match=f"version {VERSION + 1}"):
        decode(encode(replace(FULL, version=VERSION + 1)))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"[]", "JSON list"),
        (b"{}", "'created' is None"),
        (b'{"created": "yesterday"}', "yesterday"),
        (b'{"created": "2026-11-22T18:00:00"}', "with its offset"),
        (b'{"created": "0001-01-01T00:00:00+14:00"}', "0001-01-01"),
        (encode(FULL).replace(b'"pi_1"', b'"pi_1", "row_id": "PAY-1042"'), "row_id 'PAY-1042' is not a GUID"),
        (b'{"created": "2026-11-22T18:00:00Z"}', "event_id is missing, event_type is missing"),
        (encode(FULL).replace(b'"pi_1"', b"1"), "intent_id has the wrong type"),
        (encode(FULL).replace(b"2900", b'"a lot"'), "RefundFact: amount has the wrong type"),
    ],
)
def test_a_body_that_is_no_payment_event_is_refused_in_words(body, complaint):
    with pytest.raises(PaymentEventError, match=complaint):
        decode(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
fields_of_objects = st.sampled_from(
    ["id", "amount", "currency", "status", "metadata", "payment_intent", "last_payment_error", "charges", "captured"]
)


@given(
    st.sampled_from(["payment_intent", "checkout.session", "charge", "refund", "dispute", "surprise"]),
    st.dictionaries(fields_of_objects, json_values),
)
def test_whatever_the_object_holds_it_is_read_and_small(read, kind, facts):
    event = {"id": "evt_1", "type": "x.y", "created": 1, "data": {"object": {**facts, "object": kind}}}
    told = read(event)
    assert (told is None) == (kind == "surprise")
    if told is not None:
        assert decode(encode(told)) == told
        assert len(encode(told)) < MAX_BYTES


@pytest.mark.parametrize("character", ["a", "é", "💳", '"', "\x00"])
def test_an_event_of_the_longest_values_fits_into_a_message(read, snapshot, character):
    longest = {"id": "i" * 255, "status": "s" * 80, "currency": "c" * 80, "cancellation_reason": "r" * 80}
    error = {"code": "c" * 80, "decline_code": "d" * 80, "message": character * 9_000}
    metadata = {"CRM_PaymentId": PAYMENT_ID, "CRM_SalesOrderId": ORDER_ID, "CRM_OrganizationId": character * 500}
    event = read(snapshot("payment_intent.canceled", **longest, last_payment_error=error, metadata=metadata))
    assert len(encode(event)) < MAX_BYTES


@pytest.mark.skipif(not SAMPLES.exists(), reason="the sample events are not beside the repository")
@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.json")), ids=lambda path: path.stem)
def test_samples_of_2020_and_2026_are_read(path, read):
    event = json.loads(path.read_bytes())
    if event.get("object") != "event":
        with pytest.raises(EventUnreadableError):
            read(event)
        return
    told = read(event)
    assert told.intent_id or told.event_type.startswith("checkout.")
    assert decode(encode(told)) == told
    assert b"client_secret" not in encode(told)
