"""Builds the requests that deliver events to a webhook endpoint, with Stripe's signature.

Source: https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from stripe import WebhookSignature

from runner.stripe_simulator.jsons import JSON

SIGNATURE_HEADER = "Stripe-Signature"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver ``event``: POST ``payload`` with ``signature`` in the Stripe-Signature header."""

    event: JSON
    payload: bytes
    signature: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json; charset=utf-8", SIGNATURE_HEADER: self.signature}


def sign(payload: bytes, secret: str, timestamp: int) -> str:
    """The ``Stripe-Signature`` of ``payload``, signed at ``timestamp`` (Unix seconds)."""
    signature: str = WebhookSignature.generate_signature_header(payload.decode(), secret, timestamp)
    return signature


def deliver(event: JSON, secret: str, timestamp: int) -> Delivery:
    payload = orjson.dumps(event, option=orjson.OPT_INDENT_2)
    return Delivery(event, payload, sign(payload, secret, timestamp))


def twice(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Each delivery twice in a row, as when Stripe does not get the response."""
    return [delivery for delivery in deliveries for _ in range(2)]


def shuffled(deliveries: Sequence[Delivery], seed: int) -> list[Delivery]:
    """The deliveries in random order, the same for the same ``seed``; Stripe guarantees no order."""
    return random.Random(seed).sample(list(deliveries), len(deliveries))  # noqa: S311 - not a secret
