"""The Stripe event types a registration may name."""

from __future__ import annotations

import pytest

from runner.registrations.stripe_events import PAYMENT_EVENT_TYPES, meant_event


def test_stripe_accepts_every_event_the_bridge_applies() -> None:
    from stripe.params import WebhookEndpointCreateParams

    accepted = str(WebhookEndpointCreateParams.__annotations__["enabled_events"])
    assert [name for name in PAYMENT_EVENT_TYPES if f'"{name}"' not in accepted and f"'{name}'" not in accepted] == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("payment_intent.failed", "payment_intent.payment_failed"),
        ("payment_intent.success", "payment_intent.succeeded"),
        ("payment_intent.cancelled", "payment_intent.canceled"),
        ("Payment_Intent.Succeeded", "payment_intent.succeeded"),
        ("checkout.session.complete", "checkout.session.completed"),
        ("charge.refund", "charge.refunded"),
        ("moon.landed", None),
    ],
)
def test_a_misspelt_event_name_is_recognised(written: str, meant: str | None) -> None:
    assert meant_event(written) == meant
