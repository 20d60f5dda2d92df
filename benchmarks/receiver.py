"""Receiving one event, against the SDK's own ``construct_event``, which gives an object and no message.

    python benchmarks/receiver.py

All sides run in the same process on the same bytes, in interleaved rounds; the median is printed. The ratio carries
from machine to machine roughly, microseconds do not.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import orjson
import stripe

from azure_bridge.receiver import Accepted, StripeReceiver
from azure_bridge.tables import BridgeConfiguration, PaymentTable

SECRET = "whsec_benchmark"
ROUNDS = 9
REPEATS = 300


def event() -> bytes:
    """A failed attempt of about 3 KB, with a payment method and its billing details, as Stripe sends it."""
    billing = {
        "address": {"city": "Lyon", "country": "FR", "line1": "12 rue de la Paix", "postal_code": "69002"},
        "email": "anna@example.com",
    }
    card = {
        "brand": "visa",
        "country": "US",
        "exp_month": 8,
        "exp_year": 2030,
        "funding": "credit",
        "last4": "4242",
        "checks": dict.fromkeys(["address_line1_check", "address_postal_code_check", "cvc_check"]),
    }
    method = {"id": "pm_1", "object": "payment_method", "type": "card", "card": card, "billing_details": billing}
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 4_550,
        "amount_received": 0,
        "currency": "usd",
        "status": "requires_payment_method",
        "last_payment_error": {"code": "card_declined", "message": "Declined.", "payment_method": method},
        "metadata": {"CRM_PaymentId": "7b1f4a0e-2f52-ee11-be6f-000d3a2f9c11", "CRM_Table": "new_payment"},
        **dict.fromkeys([f"field_{number}" for number in range(40)]),
    }
    envelope = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-05-27.dahlia",
        "created": int(time.time()),
        "livemode": False,
        "type": "payment_intent.payment_failed",
        "data": {"object": intent},
    }
    return json.dumps(envelope, indent=2).encode()


def microseconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(REPEATS):
        action()
    return (time.perf_counter() - start) / REPEATS * 1e6


def main() -> None:
    body = event()
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
    table = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")
    configuration = BridgeConfiguration(tables=(table,), events=frozenset({"payment_intent.payment_failed"}))
    receiver = StripeReceiver(configuration, lambda: [SECRET])
    assert isinstance(receiver.receive(body, header), Accepted)

    sides = {
        "verified and parsed": lambda: (
            stripe.WebhookSignature.verify_header(body, header, SECRET),
            orjson.loads(body),
        ),
        "StripeReceiver.receive": lambda: receiver.receive(body, header),
        "stripe.Webhook.construct_event": lambda: stripe.Webhook.construct_event(body, header, SECRET),
    }
    rounds = [[microseconds(side) for side in sides.values()] for _ in range(ROUNDS)]
    medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
    print(f"one event of {len(body)} bytes")
    for name, median in zip(sides, medians, strict=True):
        print(f"  {name:<32} {median:7.1f} us   1/{medians[-1] / median:.0f}")


if __name__ == "__main__":
    main()
