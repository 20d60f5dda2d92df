"""A payment event over Service Bus that is poison to its worker, until an operator sends it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("azure.servicebus")

from azure_bridge.clock import ManualClock
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.processor import PaymentProcessor
from azure_bridge.queues.service_bus import ServiceBusQueue, connect
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


def test_a_poisonous_message_becomes_a_dead_letter_and_gets_its_second_chance(
    crm: Any,
    serve: Callable[..., str],
    start_broker: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ManualClock(datetime.now(UTC).replace(microsecond=0))
    broker = start_broker(clock=clock)
    for name in (QUEUE, "dataverse-events"):
        broker.add_queue(name, max_deliveries=3, lock_duration=timedelta(minutes=1))
    row_id = crm.emulator.service().create(Entity("new_payment", None, {"new_name": "PAY-1"}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVICEBUS_CONNECTION_STRING", broker.connection_string)
    monkeypatch.setenv("DATAVERSE_URL", serve(crm.app))
    monkeypatch.setenv("RUNNER_REGISTRATIONS", str(Path(__file__).parents[2] / "registrations.yaml"))

    # Given a worker that dies of the message as often as it may be delivered
    with closing(ServiceBusQueue(connect(broker.connection_string), QUEUE)) as queue:
        queue.send([message_for(event(row_id, 1, "payment_intent.succeeded", 12_900))])
        processor = PaymentProcessor(BrokenClient(), BridgeConfiguration(tables=(PAYMENTS,), events=frozenset()))
        for _ in range(3):
            with pytest.raises(RuntimeError):
                processor.drain(queue)
            clock.advance(timedelta(minutes=1))
        assert queue.receive() == []

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
