"""Stripe's signed events over Service Bus to the rows, while all connections break once a second and a worker dies."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from itertools import cycle
from random import Random
from typing import Any

import pytest
import requests
from serving_world import SIGNING_SECRET, Process, World, until

pytest.importorskip("azure.servicebus")

from stripe import WebhookSignature

from dataverse_client.types import Money, OptionSetValue
from plugins.payment_tables import PaymentStatus

ROWS = 60
SENDERS = 4
#: After so many the network is well again: on a machine that is busy enough, no connection would last long enough.
DROPS = 8


class Worker:
    """``runner work``, and the events it said it applied."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.applied: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.lines():
            self.applied += re.findall(r"^\s*applied\s+\S+\s+(evt_\w+)", line)

    def kill(self) -> None:
        self.process.kill()
        self._reader.join()

    def stop(self) -> None:
        assert self.process.stop() == 0
        self._reader.join()


def life_of(row_id: str, number: int) -> list[dict[str, Any]]:
    """What Stripe tells of a payment of 19.99 USD: it is under way, it failed, it succeeded at the second attempt."""
    intent = {
        "id": f"pi_{number}",
        "object": "payment_intent",
        "amount": 1999,
        "amount_received": 0,
        "currency": "usd",
        "metadata": {"CRM_PaymentId": row_id, "CRM_Table": "new_payment"},
    }
    declined = {"code": "card_declined", "message": "Your card was declined.", "type": "card_error"}
    told: dict[str, dict[str, Any]] = {
        "processing": {},
        "payment_failed": {"last_payment_error": declined},
        "succeeded": {"amount_received": 1999},
    }
    return [
        {
            "id": f"evt_{number}_{name}",
            "object": "event",
            "api_version": "2026-05-27.dahlia",
            "created": 1_780_000_000 + order,
            "livemode": False,
            "type": f"payment_intent.{name}",
            "data": {"object": {**intent, **facts}},
        }
        for order, (name, facts) in enumerate(told.items())
    ]


def deliver(events: list[dict[str, Any]], url: str) -> None:
    """As Stripe does, only sooner: what was not answered with 2xx comes again, signed anew."""
    with requests.Session() as session:
        session.trust_env = False
        for each in events:
            body = json.dumps(each)
            accepted = False
            while not accepted:
                signature = WebhookSignature.generate_signature_header(body, SIGNING_SECRET, int(time.time()))
                headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
                answer = session.post(f"{url}/stripe/webhook", data=body, headers=headers, timeout=60)
                assert answer.status_code in (200, 503), answer.text
                accepted = answer.status_code == 200


@contextmanager
def storm(broker: Any) -> Iterator[list[float]]:
    """Every connection breaks, at once and once a second. Answers the times at which they did."""
    dropped: list[float] = []
    over = threading.Event()

    def rage() -> None:
        while len(dropped) < DROPS and not over.wait(1 if dropped else 0):
            broker.drop_connections()
            dropped.append(time.monotonic())

    raging = threading.Thread(target=rage)
    raging.start()
    try:
        yield dropped
    finally:
        over.set()
        raging.join()


def test_nothing_is_lost_or_applied_twice_by_two_receivers_and_three_workers(
    world: World, start_broker: Callable[..., Any]
) -> None:
    """The locks a dead worker leaves run out after two seconds."""
    broker = start_broker()
    broker.add_queue("dataverse-events")
    payments = broker.add_queue("payment-events", lock_duration=timedelta(seconds=2), max_deliveries=100)
    rows = [world.create_payment("19.99", f"Invoice {number}") for number in range(ROWS)]
    events = [event for number, row in enumerate(rows) for event in life_of(row, number)]
    events += events[::5]
    Random(7).shuffle(events)  # noqa: S311 - an order, not a secret

    bus = {"SERVICEBUS_CONNECTION_STRING": broker.connection_string}
    with ThreadPoolExecutor(5) as starting:
        receivers = [starting.submit(world.serve, "--no-workers", **bus) for _ in range(2)]
        workers = [Worker(each.result()) for each in [starting.submit(world.start, "work", **bus) for _ in range(3)]]
    urls = cycle(receiver.result().url for receiver in receivers)

    with storm(broker) as drops, ThreadPoolExecutor(SENDERS) as senders:
        sending = [senders.submit(deliver, events[each::SENDERS], next(urls)) for each in range(SENDERS)]
        until(lambda: any(worker.applied for worker in workers))
        victim = next(worker for worker in workers if worker.applied)
        victim.kill()
        for each in sending:
            each.result(timeout=120)
        until(lambda: not payments.messages, seconds=120)
        assert len(drops) >= 2
    for worker in workers:
        if worker is not victim:
            worker.stop()

    assert payments.dead_letters.messages == {}
    completed = (OptionSetValue(PaymentStatus.COMPLETED), Money(Decimal("19.99")))
    found = {(row["new_paymentstatus"], row["new_amountreceived"]) for row in map(world.payment, rows)}
    assert found == {completed}
    applied = Counter(event_id for worker in workers for event_id in worker.applied)
    assert [event_id for event_id, times in applied.items() if times > 1] == []
