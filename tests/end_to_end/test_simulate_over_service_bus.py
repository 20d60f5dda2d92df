"""``runner simulate --queue servicebus``: the same story, told over Azure Service Bus."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("azure.servicebus")

from azure_bridge.queues.contract import QueueMessage
from azure_bridge.queues.service_bus import ServiceBusQueue, connect

QUEUE = "simulated-events"


@pytest.fixture
def broker(start_broker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    broker = start_broker()
    broker.add_queue(QUEUE)
    monkeypatch.setenv("SERVICEBUS_CONNECTION_STRING", broker.connection_string)
    monkeypatch.setenv("PAYMENT_EVENTS_QUEUE", QUEUE)
    return broker


@pytest.mark.parametrize("entity", ["payment", "sales_order"])
def test_the_events_go_through_the_service_to_the_row(broker: Any, simulate: Callable[..., Any], entity: str) -> None:
    seen = simulate("--queue", "servicebus", "--entity", entity)
    assert (seen.exit_code, seen.document["problems"]) == (0, [])
    assert seen.document["status"] == "Completed"
    assert broker.transfers_seen >= 1
    assert broker.add_queue(QUEUE).messages == {}


def test_messages_of_others_are_left_alone(broker: Any, run: Callable[..., Any]) -> None:
    with closing(ServiceBusQueue(connect(broker.connection_string), QUEUE)) as queue:
        queue.send([QueueMessage(b"{}", "of-somebody-else")])
    seen = run("--queue", "servicebus")
    assert seen.exit_code == 2
    assert "Name a queue that nobody else uses" in seen.said
    assert len(broker.add_queue(QUEUE).messages) == 1


def test_a_service_must_be_named(run: Callable[..., Any]) -> None:
    seen = run("--queue", "servicebus")
    assert seen.exit_code == 2
    assert "neither SERVICEBUS_CONNECTION_STRING nor SERVICEBUS_NAMESPACE is set" in seen.said


def test_a_service_that_is_away_is_named(broker: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_listens = broker.connection_string.replace(str(broker.port), "9")
    monkeypatch.setenv("SERVICEBUS_CONNECTION_STRING", nobody_listens)
    seen = run("--queue", "servicebus")
    assert seen.exit_code == 1
    assert f"Queue {QUEUE} cannot be reached" in seen.said


def test_a_queue_that_is_missing_is_named(
    broker: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYMENT_EVENTS_QUEUE", "paymant-events")
    seen = run("--queue", "servicebus")
    assert seen.exit_code == 1
    assert "Check its name" in seen.said
