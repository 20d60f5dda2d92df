"""Requests to Stripe as the trace tells them, driven through the real SDK."""

from __future__ import annotations

import asyncio

import pytest
import stripe
from ports import nobody_listens

from azure_bridge.clock import ManualClock
from runner.stripe_simulator import StripeSimulator
from runner.tracing.model import StripeCalled
from runner.tracing.recorder import Recorder
from runner.tracing.stripe_calls import TracingHTTPClient


@pytest.fixture
def simulator() -> StripeSimulator:
    return StripeSimulator(clock=ManualClock())


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(simulator: StripeSimulator, recorder: Recorder) -> stripe.StripeClient:
    transport = TracingHTTPClient(simulator.http_client(), recorder, simulator.clock)
    return stripe.StripeClient(simulator.api_key, http_client=transport)


def last_call(recorder: Recorder) -> StripeCalled:
    call = recorder.records[-1]
    assert isinstance(call, StripeCalled)
    return call


def test_a_call_is_traced_with_its_answer(client: stripe.StripeClient, recorder: Recorder) -> None:
    intent = client.v1.payment_intents.create({"amount": 1999, "currency": "usd"})
    call = last_call(recorder)
    assert (call.method, call.path, call.status) == ("POST", "/v1/payment_intents", 200)
    assert call.subject == intent.id
    assert call.request_id


def test_a_replayed_answer_is_told_apart(client: stripe.StripeClient, recorder: Recorder) -> None:
    for _ in range(2):
        client.v1.payment_intents.create({"amount": 1999, "currency": "usd"}, {"idempotency_key": "once"})
    assert [call.replayed for call in recorder.records if isinstance(call, StripeCalled)] == [False, True]


def test_a_decline_is_traced_with_its_code(client: stripe.StripeClient, recorder: Recorder) -> None:
    intent = client.v1.payment_intents.create({"amount": 1999, "currency": "usd"})
    with pytest.raises(stripe.CardError):
        client.v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_visa_chargeDeclined", "return_url": "https://example.com"}
        )
    assert (last_call(recorder).status, last_call(recorder).error) == (402, "generic_decline")


def test_a_call_without_an_answer_is_traced(
    simulator: StripeSimulator, client: stripe.StripeClient, recorder: Recorder
) -> None:
    simulator.fail_next("connection_reset_before")
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create({"amount": 1999, "currency": "usd"})
    assert last_call(recorder).status is None
    assert last_call(recorder).error


def test_a_server_that_is_not_there_takes_one_line(recorder: Recorder) -> None:
    transport = TracingHTTPClient(stripe.RequestsClient(), recorder, ManualClock())  # type: ignore[no-untyped-call]
    with nobody_listens() as address:
        client = stripe.StripeClient(
            "sk_test_local", http_client=transport, base_addresses={"api": address}, max_network_retries=0
        )
        with pytest.raises(stripe.APIConnectionError):
            client.v1.balance.retrieve()
    error = last_call(recorder).error
    assert error is not None
    assert (error.startswith("ConnectionError: "), "Connection refused" in error, "\n" in error) == (True, True, False)


def test_asynchronous_calls_are_traced_alike(client: stripe.StripeClient, recorder: Recorder) -> None:
    asyncio.run(client.v1.payment_intents.create_async({"amount": 1999, "currency": "usd"}))
    assert last_call(recorder).status == 200


def test_no_body_and_no_client_secret_is_kept(client: stripe.StripeClient, recorder: Recorder) -> None:
    intent = client.v1.payment_intents.create({"amount": 1999, "currency": "usd"})
    assert intent.client_secret
    assert intent.client_secret not in repr(recorder.records)
