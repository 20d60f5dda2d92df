"""The same key gets the same answer, whatever went wrong in between."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
import stripe

from runner.stripe_simulator import Fault

PARAMS = {"amount": 1999, "currency": "usd"}
KEY = {"idempotency_key": "payment-1:create"}


def test_the_same_key_makes_one_intent(simulator, intents):
    first, second = intents.create(PARAMS, KEY), intents.create(PARAMS, KEY)

    assert first.id == second.id
    assert len(simulator.payment_intents) == 1
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["original-request"] == first.last_response.request_id
    assert [request.replayed for request in simulator.requests] == [False, True]


def test_a_decline_is_replayed_too(simulator, charge_with):
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            charge_with("pm_card_chargeDeclined", options=KEY)
    assert len(simulator.payment_intents) == 1


def test_a_key_stands_for_its_parameters(intents):
    intents.create(PARAMS, KEY)

    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        intents.create({**PARAMS, "amount": 2000}, KEY)


def test_a_key_stands_for_its_endpoint(intents):
    intent = intents.create(PARAMS, KEY)

    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        intents.cancel(intent.id, {}, KEY)


def test_a_refused_parameter_leaves_the_key_free(intents):
    with pytest.raises(stripe.InvalidRequestError):
        intents.create({**PARAMS, "amount": 1}, KEY)

    assert intents.create(PARAMS, KEY).status == "requires_payment_method"


def test_a_key_is_forgotten_after_a_day(clock, intents):
    first = intents.create(PARAMS, KEY)
    clock.advance(timedelta(hours=24))

    assert intents.create(PARAMS, KEY).id != first.id


def test_a_key_has_up_to_255_characters(intents):
    intents.create(PARAMS, {"idempotency_key": "k" * 255})

    with pytest.raises(stripe.InvalidRequestError, match="255"):
        intents.create(PARAMS, {"idempotency_key": "k" * 256})


def test_a_key_in_flight_is_a_conflict(simulator, intents):
    conflicts = []

    def ask_again():
        with pytest.raises(stripe.APIError) as refused:
            intents.create(PARAMS, KEY)
        conflicts.append((refused.value.http_status, refused.value.error.code))

    simulator.during_next(ask_again)
    intents.create(PARAMS, KEY)

    assert conflicts == [(409, "idempotency_key_in_use")]


def test_many_threads_with_one_key_make_one_intent(simulator):
    start, ids = threading.Barrier(8), set()

    def create():
        client = simulator.client(max_network_retries=1000)
        start.wait()
        ids.add(client.v1.payment_intents.create(PARAMS, KEY).id)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ids == set(simulator.payment_intents)
    assert len(ids) == 1


@pytest.mark.parametrize(
    "fault", [Fault.CONNECTION_RESET_BEFORE, Fault.CONNECTION_RESET_AFTER, Fault.LOCK_TIMEOUT, Fault.UNAVAILABLE]
)
def test_the_sdk_retries_its_way_past(simulator, fault):
    simulator.fail_next(fault)

    intent = simulator.client(max_network_retries=1).v1.payment_intents.create(PARAMS)

    assert list(simulator.payment_intents) == [intent.id]


def test_a_lost_answer_leaves_the_intent_behind(simulator, intents):
    simulator.fail_next(Fault.CONNECTION_RESET_AFTER)

    with pytest.raises(stripe.APIConnectionError):
        intents.create(PARAMS, KEY)
    assert list(simulator.payment_intents) == [intents.create(PARAMS, KEY).id]
    assert [request.status for request in simulator.requests] == [None, 200]


def test_a_rate_limit_is_not_retried_and_leaves_the_key_free(simulator):
    simulator.fail_next(Fault.RATE_LIMITED)
    intents = simulator.client(max_network_retries=3).v1.payment_intents

    with pytest.raises(stripe.RateLimitError):
        intents.create(PARAMS, KEY)
    assert intents.create(PARAMS, KEY).id in simulator.payment_intents


def test_a_server_error_is_replayed_until_the_key_expires(simulator, clock):
    simulator.fail_next(Fault.SERVER_ERROR)
    intents = simulator.client(max_network_retries=3).v1.payment_intents

    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            intents.create(PARAMS, KEY)
        assert failed.value.http_status == 500
    clock.advance(timedelta(hours=24))
    assert intents.create(PARAMS, KEY).status == "requires_payment_method"


def test_a_fault_can_wait_for_its_request(simulator, intents):
    simulator.fail_next("key_in_use", on="POST /v1/payment_intents/")

    intent = intents.create(PARAMS)
    with pytest.raises(stripe.APIError):
        intents.cancel(intent.id)
    assert intents.cancel(intent.id).status == "canceled"


def test_asynchronous_calls_are_answered_too(simulator):
    async def pay():
        simulator.fail_next(Fault.UNAVAILABLE)
        intents = simulator.client(max_network_retries=1).v1.payment_intents
        intent = await intents.create_async(PARAMS)
        return await intents.retrieve_async(intent.id)

    assert asyncio.run(pay()).status == "requires_payment_method"


def test_a_fault_nobody_knows_is_told_with_those_there_are(simulator):
    with pytest.raises(ValueError, match=r"no fault 'timeout'. Known: connection_reset_before, .*, unavailable"):
        simulator.fail_next("timeout")
