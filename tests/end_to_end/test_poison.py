"""A payment event that is poison to its worker, until an operator sends it again: on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from azure_bridge.clock import ManualClock
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.processor import PaymentProcessor
from azure_bridge.queues import QUEUE_FILE
from azure_bridge.queues.contract import MessageQueue
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.receiver import message_for
from azure_bridge.tables import BridgeConfiguration, PaymentStatus, PaymentTable
from dataverse_client.types import Entity
from runner.cli.main import runner
from runner.web.dataverse.host import Hosting, hosted

QUEUE = "payment-events"
PAYMENTS = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")


@pytest.fixture
def crm() -> Iterator[Any]:
    with hosted(Hosting()) as site:
        yield site


def event(row_id: str, number: int, event_type: str, received: int | None) -> PaymentEvent:
    return PaymentEvent(
        event_id=f"evt_{number}_{event_type}",
        event_type=event_type,
        created=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        livemode=False,
        object_id=f"pi_{number}",
        intent_id=f"pi_{number}",
        currency="eur",
        amount=12_900,
        amount_received=received,
        row_table="new_payment",
        row_id=row_id,
    )


def status(crm: Any, row_id: str) -> PaymentStatus | None:
    shown = {number: status for status, number in PAYMENTS.statuses.items()}
    value = crm.emulator.service().retrieve("new_payment", row_id, ["new_paymentstatus"]).get("new_paymentstatus")
    return shown[value.value] if value else None


class BrokenClient:
    """A client with a bug that no error handling expects."""

    def retrieve_multiple(self, query: Any) -> Any:
        raise RuntimeError("a bug")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(params=["embedded", "service bus"])
def queue(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> MessageQueue:
    """A queue that delivers a message three times, and that the settings name. The test closes it."""
    if request.param == "embedded":
        monkeypatch.setenv("RUNNER_DATA_DIR", str(tmp_path))
        return EmbeddedQueue(tmp_path / QUEUE_FILE, QUEUE, clock=clock, max_deliveries=3)
    return at_service_bus(request.getfixturevalue("start_broker"), clock, monkeypatch)


def at_service_bus(
    start_broker: Callable[..., Any], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> MessageQueue:
    from azure_bridge.queues.service_bus import ServiceBusQueue, connect

    broker = start_broker(clock=clock)
    for name in (QUEUE, "dataverse-events"):
        broker.add_queue(name, max_deliveries=3, lock_duration=timedelta(minutes=1))
    monkeypatch.setenv("SERVICEBUS_CONNECTION_STRING", broker.connection_string)
    return ServiceBusQueue(connect(broker.connection_string), QUEUE)


def test_a_poisonous_message_becomes_a_dead_letter_and_gets_its_second_chance(
    crm: Any,
    serve: Callable[..., str],
    queue: MessageQueue,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row_id = crm.emulator.service().create(Entity("new_payment", None, {"new_name": "PAY-1"}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATAVERSE_URL", serve(crm.app))
    monkeypatch.setenv("RUNNER_REGISTRATIONS", str(Path(__file__).parents[2] / "registrations.yaml"))

    # Given a worker that dies of the message as often as it may be delivered
    queue.send([message_for(event(row_id, 1, "payment_intent.succeeded", 12_900))])
    processor = PaymentProcessor(BrokenClient(), BridgeConfiguration(tables=(PAYMENTS,), events=frozenset()))
    for _ in range(3):
        with pytest.raises(RuntimeError):
            processor.drain(queue)
        clock.advance(timedelta(minutes=1))
    assert queue.receive() == []
    queue.close()

    # Then an operator sees it, with its reason
    seen = operate("dead-letters")
    assert "evt_1_payment_intent.succeeded" in seen
    assert "MaxDeliveryCountExceeded" in seen

    # When the cause is fixed and it is sent again, the row is right
    assert "Sent again: 1 dead letter." in operate("resubmit", "--all")
    assert "1 done" in operate("drain")
    assert status(crm, row_id) is PaymentStatus.COMPLETED
    assert "evt_1" not in operate("dead-letters")


def operate(*arguments: str) -> str:
    result = CliRunner().invoke(runner, ["queue", *arguments])
    assert result.exit_code == 0, result.output
    return result.output
