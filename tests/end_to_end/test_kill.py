"""A worker killed in the middle of draining: nothing is lost, and no row is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from random import Random
from types import ModuleType

import orjson
import pytest
import stripe

from azure_bridge.queues.embedded import EmbeddedQueue
from dataverse_client.types import Entity, Money, OptionSetValue

WORKER = Path(__file__).with_name("drain_until_killed.py")
ROWS = 30
EVENTS_PER_ROW = 3


@pytest.fixture
def worker() -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location("drain_until_killed", WORKER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kill_9_in_the_middle_of_draining_loses_nothing(worker: ModuleType, tmp_path: Path) -> None:
    """Given 30 payments that failed, then succeeded, then were half refunded, all events on the queue in disorder,
    when the worker is killed three times on the way and started again,
    then every row says so, and the queue is empty."""
    rows = given_payments_and_their_events(worker, tmp_path)

    for life in range(3):
        kill_after_progress(tmp_path, minutes=2 * life)
    subprocess.run([sys.executable, WORKER, tmp_path, "10"], check=True, timeout=60)

    environment = worker.open_environment(tmp_path, 12)
    counts = environment.queue.counts()
    assert (counts.active, counts.locked, counts.scheduled, counts.dead_lettered) == (0, 0, 0, 0)
    partially_refunded = worker.PAYMENTS.statuses["Partially refunded"]
    for row_id in rows:
        row = environment.client.retrieve("new_payment", row_id)
        assert row["new_paymentstatus"] == OptionSetValue(partially_refunded)
        assert row["new_amountreceived"].value == Decimal("20.00")
        assert row["new_amountrefunded"].value == Decimal("5.00")
    environment.close()


def given_payments_and_their_events(worker: ModuleType, directory: Path) -> list[str]:
    environment = worker.open_environment(directory)
    events, rows = [], []
    for number in range(ROWS):
        columns = {"new_amount": Money(Decimal("20.00")), "new_stripepaymentintentid": f"pi_{number}"}
        rows.append(environment.client.create(Entity("new_payment", attributes=columns)))
        events += events_of(number, rows[-1])
    Random(7).shuffle(events)  # noqa: S311 - an order, not a secret
    for event in events:
        payload = orjson.dumps(event)
        signature = stripe.WebhookSignature.generate_signature_header(payload.decode(), worker.WEBHOOK_SECRET)
        environment.deliver(payload, signature)
    assert environment.queue.counts().active == ROWS * EVENTS_PER_ROW
    environment.close()
    return rows


def events_of(number: int, row_id: str) -> list[dict[str, object]]:
    intent = {
        "id": f"pi_{number}",
        "object": "payment_intent",
        "amount": 2000,
        "currency": "usd",
        "metadata": {"CRM_PaymentId": row_id},
    }
    declined = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}
    refund = {
        "id": f"re_{number}",
        "object": "refund",
        "amount": 500,
        "currency": "usd",
        "status": "succeeded",
        "payment_intent": f"pi_{number}",
    }
    told = {
        "payment_intent.payment_failed": intent | {"status": "requires_payment_method", "last_payment_error": declined},
        "payment_intent.succeeded": intent | {"status": "succeeded", "amount_received": 2000},
        "refund.created": refund,
    }
    return [
        {
            "id": f"evt_{number}_{place}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": 1_700_000_000 + place,
            "livemode": False,
            "type": event_type,
            "data": {"object": subject},
        }
        for place, (event_type, subject) in enumerate(told.items())
    ]


def kill_after_progress(directory: Path, *, minutes: int) -> None:
    """Start a worker, let it settle a few messages, and kill it."""
    queue = EmbeddedQueue(directory / "queue.db", "payment-events")
    left = total(queue)
    process = subprocess.Popen([sys.executable, WORKER, directory, str(minutes), "stay"])
    deadline = time.monotonic() + 60
    while total(queue) > max(left - 8, 0):
        assert process.poll() is None, "the worker ended by itself"
        assert time.monotonic() < deadline, "the worker made no progress"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    queue.close()


def total(queue: EmbeddedQueue) -> int:
    counts = queue.counts()
    return counts.active + counts.locked + counts.scheduled
