"""A processor between a real queue and the embedded Dataverse, and a few words to say what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from azure_bridge.payment_event import PaymentEvent
from azure_bridge.processor import PaymentProcessor
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.receiver import message_for
from azure_bridge.settlement import (
    RetryPolicy,
)
from azure_bridge.tables import BridgeConfiguration, PaymentStatus
from dataverse_client.client import DataverseClient, WhoAmI
from dataverse_client.errors import (
    DataverseError,
)
from dataverse_client.operations import BatchResult, Operation
from dataverse_client.types import Entity, EntityCollection, QueryExpression
from runner.emulator.adapter import client_of
from runner.emulator.emulator import Emulator

ORGANIZATION_ID = "0ad1e2f3-2f52-ee11-be6f-000d3a2f9c33"


class Crm:
    """The client the processor is given: the real one, which a test can make fail or be overtaken."""

    def __init__(self, client: DataverseClient) -> None:
        self.client = client
        self.requests = 0
        self.query_error: DataverseError | None = None
        self.write_error: DataverseError | None = None
        self.before_write: Callable[[], None] = lambda: None

    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection:
        self.requests += 1
        if self.query_error:
            raise self.query_error
        return self.client.retrieve_multiple(query)

    def who_am_i(self) -> WhoAmI:
        self.requests += 1
        if self.query_error:
            raise self.query_error
        return self.client.who_am_i()

    def batch(self, operations: Sequence[Operation]) -> list[BatchResult]:
        self.requests += 1
        self.before_write()
        if self.write_error:
            return [BatchResult(None, self.write_error) for _ in operations]
        return self.client.batch(operations)


class Diary:
    """An observer that writes down what happened, event by event."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def applied(self, event, table, row_id, changes):
        self.lines.append(("applied", event.event_id, table))

    def ignored(self, event, reason):
        self.lines.append(("ignored", event.event_id, reason))

    def retry_later(self, event, reason, *, attempt, delay_seconds):
        self.lines.append(("retry later", event.event_id, reason))

    def dead_lettered(self, event, reason, description):
        self.lines.append(("dead-lettered", event.event_id if event else "?", f"{reason}: {description}"))


@pytest.fixture
def crm(clock):
    emulator = Emulator(clock=clock)
    client = client_of(emulator)
    yield Crm(client)
    client.close()
    emulator.close()


@pytest.fixture
def queue(tmp_path, clock):
    queue = EmbeddedQueue(tmp_path / "queue.db", "payment-events", clock=clock)
    yield queue
    queue.close()


@pytest.fixture
def diary():
    return Diary()


@pytest.fixture
def settings(payments, orders):
    return {"tables": (payments, orders), "events": frozenset(), "organization_id": ORGANIZATION_ID}


@pytest.fixture
def processor(crm, settings, diary, clock):
    retries = RetryPolicy(attempts=2, jitter=lambda: 1)
    return PaymentProcessor(crm, BridgeConfiguration(**settings), observer=diary, retries=retries, clock=clock)


@pytest.fixture
def a_payment(crm):
    """Makes a Payment row and returns its id."""

    def create(table: str = "new_payment", **columns) -> str:
        title = "name" if table == "salesorder" else "new_name"
        return crm.client.create(Entity(table, None, {title: "PAY-1", **columns}))

    return create


@pytest.fixture
def enqueue(queue, clock):
    """Puts an event on the queue: by default, that an intent of 129.00 EUR succeeded. ``row_id`` is of a Payment."""
    numbers = iter(range(1, 10_000))

    def send(event_type: str = "payment_intent.succeeded", **facts) -> PaymentEvent:
        number = next(numbers)
        event = PaymentEvent(
            **{
                "event_id": f"evt_{number}",
                "event_type": event_type,
                "created": clock.now() + timedelta(seconds=number),
                "livemode": False,
                "object_id": "obj_1",
                "intent_id": "pi_1",
                "currency": "eur",
                "amount": 12_900,
                **({"row_table": "new_payment"} if "row_id" in facts else {}),
                **({"amount_received": 12_900} if event_type == "payment_intent.succeeded" else {}),
                **facts,
            }
        )
        queue.send([message_for(event)])
        return event

    return send


@pytest.fixture
def status_of(crm, payments):
    shown = {number: status for status, number in payments.statuses.items()}

    def status(row_id: str, table: str = "new_payment") -> PaymentStatus | None:
        value = crm.client.retrieve(table, row_id, ["new_paymentstatus"]).get("new_paymentstatus")
        return shown[value.value] if value else None

    return status


@pytest.fixture
def dead_letters(queue):
    """The reasons of the messages that were set aside."""
    return lambda: [message.dead_letter_reason for message in queue.peek(dead_letters=True)]
