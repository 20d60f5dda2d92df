"""Every object in every event is as Stripe's own OpenAPI description says it is."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

SPECIFICATION = Path(__file__).parents[3] / "shared/data/stripe-openapi/spec.json"
pytestmark = pytest.mark.skipif(not SPECIFICATION.exists(), reason="Stripe's OpenAPI description is not here")


@cache
def schemas():
    specification = json.loads(SPECIFICATION.read_text())
    return {"components": {"schemas": {n: nullable(s) for n, s in specification["components"]["schemas"].items()}}}


def nullable(schema):
    """OpenAPI 3.0 says ``nullable`` where JSON Schema says ``anyOf ... null``."""
    if isinstance(schema, list):
        return [nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: nullable(value) for name, value in schema.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def problems(resource):
    schema = {**schemas(), "$ref": f"#/components/schemas/{resource['object']}"}
    return [f"{error.json_path}: {error.message[:200]}" for error in Draft202012Validator(schema).iter_errors(resource)]


def live(simulator, client, charge_with):
    """A day at the till: one of everything."""
    session = client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "success_url": "https://example.com",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {"currency": "eur", "unit_amount": 900, "product_data": {"name": "Book"}},
                }
            ],
        }
    )
    simulator.pay(session.id, "pm_card_chargeDeclined")
    simulator.pay(session.id, "pm_usBankAccount_success")
    simulator.settle(client.v1.checkout.sessions.retrieve(session.id).payment_intent)
    customer = client.v1.customers.create({"email": "anna@example.com", "payment_method": "pm_card_visa"})
    client.v1.webhook_endpoints.create({"url": "https://example.com", "enabled_events": ["*"]})
    held = charge_with(capture_method="manual", customer=customer.id, metadata={"a": "b"})
    client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1000})
    client.v1.refunds.create({"payment_intent": held.id, "amount": 500})
    failing = client.v1.refunds.create({"payment_intent": charge_with("pm_card_refundFail").id})
    simulator.settle_refund(failing.id)
    simulator.close_dispute(simulator.open_dispute(charge_with("pm_card_mastercard").id)["id"], "won")
    simulator.authenticate(charge_with("pm_card_threeDSecure2Required").id, succeed=False)
    client.v1.payment_intents.cancel(charge_with("pm_card_authenticationRequired").id)


def test_events_and_their_objects(simulator, client, charge_with):
    live(simulator, client, charge_with)

    found = {
        (event["type"], problem)
        for event in simulator.events
        for resource in (event, event["data"]["object"])
        for problem in problems(resource)
    }
    assert found == set()


def test_objects_that_no_event_shows(simulator, client, charge_with):
    live(simulator, client, charge_with)

    listed = [
        *client.v1.balance_transactions.list({"limit": 100}),
        *client.v1.refunds.list(),
        *client.v1.disputes.list(),
        *client.v1.webhook_endpoints.list(),
        client.v1.payment_methods.retrieve("pm_card_visa"),
        client.v1.payment_methods.retrieve("pm_usBankAccount_success"),
    ]
    assert {resource.object for resource in listed} >= {"balance_transaction", "refund", "dispute", "payment_method"}
    assert [problem for resource in listed for problem in problems(resource.to_dict())] == []
