from __future__ import annotations

import pytest
import stripe

from runner.stripe_simulator import StripeSimulator

CARD_ONLY = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}


@pytest.fixture
def simulator(clock) -> StripeSimulator:
    return StripeSimulator(clock=clock, seed=7)


@pytest.fixture
def client(simulator) -> stripe.StripeClient:
    return simulator.client()


@pytest.fixture
def intents(client):
    return client.v1.payment_intents


@pytest.fixture
def charge_with(intents):
    """Create and confirm an intent of 19.99 USD with a test payment method."""

    def create(payment_method: str = "pm_card_visa", **params):
        options = params.pop("options", None)
        return intents.create(
            {
                "amount": 1999,
                "currency": "usd",
                "payment_method": payment_method,
                "confirm": True,
                **CARD_ONLY,
                **params,
            },
            options,
        )

    return create


@pytest.fixture
def event_types(simulator):
    return lambda: [event["type"] for event in simulator.events]
