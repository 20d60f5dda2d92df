"""Samples every test of the bridge can ask for: a configuration, and Stripe's events as JSON."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from azure_bridge.tables import BridgeConfiguration, PaymentTable

PAYMENT_ID = "7b1f4a0e-2f52-ee11-be6f-000d3a2f9c11"
ORDER_ID = "91c3d5f7-2f52-ee11-be6f-000d3a2f9c22"
ORGANIZATION_ID = "0ad1e2f3-2f52-ee11-be6f-000d3a2f9c33"

EVENTS = frozenset(
    {f"payment_intent.{name}" for name in ("succeeded", "payment_failed", "canceled", "processing", "requires_action")}
    | {f"checkout.session.{name}" for name in ("completed", "async_payment_succeeded", "expired")}
    | {"payment_intent.amount_capturable_updated", "charge.refunded", "refund.created", "refund.updated"}
    | {"charge.dispute.created", "charge.dispute.closed", "invoice.paid"}
)


@pytest.fixture
def payments() -> PaymentTable:
    return PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")


@pytest.fixture
def orders() -> PaymentTable:
    return PaymentTable(logical_name="salesorder", primary_id="salesorderid", metadata_key="CRM_SalesOrderId")


@pytest.fixture
def configuration(payments: PaymentTable, orders: PaymentTable) -> BridgeConfiguration:
    return BridgeConfiguration(tables=(payments, orders), events=EVENTS, organization_id=ORGANIZATION_ID)


@pytest.fixture
def snapshot() -> Callable[..., dict[str, Any]]:
    """``snapshot("payment_intent.succeeded", amount_received=12900)``: an event of an intent of 129.00 EUR."""
    numbers = count(1)

    def make(event_type: str, *, livemode: bool = False, created: int = 1_780_000_000, **facts: Any) -> dict[str, Any]:
        number = next(numbers)
        intent = {
            "id": "pi_1",
            "object": "payment_intent",
            "amount": 12_900,
            "amount_received": 0,
            "currency": "eur",
            "status": "requires_payment_method",
            "client_secret": "pi_1_secret_never_to_travel",
            "last_payment_error": None,
            "metadata": {"CRM_PaymentId": PAYMENT_ID, "CRM_Table": "new_payment"},
        }
        return {
            "id": f"evt_{number}",
            "object": "event",
            "api_version": "2026-05-27.dahlia",
            "created": created + number,
            "livemode": livemode,
            "pending_webhooks": 1,
            "request": {"id": "req_1", "idempotency_key": None},
            "type": event_type,
            "data": {"object": {**intent, **facts}},
        }

    return make
