"""The simulator at an address: what speaks to Stripe speaks to it."""

from __future__ import annotations

import pytest
import requests
import stripe

from runner.stripe_simulator import StripeSimulator
from runner.web.stripe_api import StripeApi


@pytest.fixture
def simulator() -> StripeSimulator:
    return StripeSimulator(seed=5)


@pytest.fixture
def url(simulator, serve) -> str:
    return serve(StripeApi(simulator))


def test_the_sdk_creates_and_lists_over_http(simulator, url) -> None:
    client = stripe.StripeClient(
        simulator.api_key, base_addresses={"api": url}, http_client=stripe.RequestsClient(timeout=30)
    )
    made = client.v1.payment_intents.create(
        {"amount": 1999, "currency": "usd", "metadata": {"Köln": "ü & ="}}, {"idempotency_key": "row-1"}
    )
    [listed] = client.v1.payment_intents.list({"limit": 3}).data
    assert (listed.id, listed.metadata["Köln"]) == (made.id, "ü & =")
    assert client.v1.payment_intents.search({"query": "metadata['Köln']:'ü & ='"}).data[0].id == made.id


def test_curl_shows_its_key_as_a_user(simulator, url) -> None:
    amount = {"amount": "1999", "currency": "usd"}
    answer = requests.post(f"{url}/v1/payment_intents", amount, auth=(simulator.api_key, ""), timeout=30)
    assert answer.json()["amount"] == 1999


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic !", "Basic c2tfdGVzdF9vdGhlcjo=", "Bearer sk_test_other"]
)
def test_another_key_is_refused(url, authorization) -> None:
    headers = {"Authorization": authorization}
    assert requests.get(f"{url}/v1/balance", headers=headers, timeout=30).status_code == 401


def test_a_body_no_request_of_stripes_has_is_refused(simulator, url) -> None:
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    answer = requests.post(f"{url}/v1/payment_intents", b"a" * (1024 * 1024 + 1), headers=headers, timeout=30)
    assert answer.status_code == 413


def test_an_answer_that_a_fault_loses_is_no_answer_of_stripes(simulator, url) -> None:
    simulator.fail_next("connection_reset_after")
    headers = {"Authorization": f"Bearer {simulator.api_key}"}
    assert requests.get(f"{url}/v1/balance", headers=headers, timeout=30).status_code == 502
