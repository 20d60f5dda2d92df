"""Payment events over Service Bus to the rows: while the network fails and workers die, and after poison."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("azure.servicebus")

from azure_bridge.clock import ManualClock
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.processor import PaymentProcessor
from azure_bridge.queues.contract import QueueUnavailableError
from azure_bridge.queues.service_bus import ServiceBusQueue, connect
from azure_bridge.receiver import message_for
from azure_bridge.tables import BridgeConfiguration, PaymentStatus, PaymentTable
from dataverse_client.types import Entity
from runner.cli.main import runner
from runner.web.dataverse.host import Hosting, hosted

ROWS = 30
QUEUE = "payment-events"
PAYMENTS = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")

# Notes each event it applied, in one write: the kill may come between any two lines.
WORKER = """
import os, sys
from azure_bridge.observer import SilentObserver
from azure_bridge.processor import PaymentProcessor
from azure_bridge.queues.contract import QueueUnavailableError
from azure_bridge.queues.service_bus import ServiceBusQueue, connect
from azure_bridge.tables import BridgeConfiguration, PaymentTable
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient

class Notes(SilentObserver):
    def applied(self, event, table, row_id, changes):
        os.write(1, f"{event.event_id}\\n".encode())

payments = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")
bridge = BridgeConfiguration(tables=(payments,), events=frozenset())
queue = ServiceBusQueue(connect(sys.argv[1]), "payment-events")
processor = PaymentProcessor(DataverseClient(sys.argv[2], tokens=NoAuthentication()), bridge, observer=Notes())
while True:
    try:
        processor.drain(queue, until=lambda: False, batch_size=5)
    except QueueUnavailableError:
        continue
"""


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


def send_stubbornly(connection_string: str, events: list[PaymentEvent]) -> None:
    """As Stripe does: what was not acknowledged is sent again, and some of what was is, too."""
    with closing(ServiceBusQueue(connect(connection_string), QUEUE)) as queue:
        for each in [*events, *events[::3]]:
            sent = False
            while not sent:
                with suppress(QueueUnavailableError):
                    queue.send([message_for(each)])
                    sent = True


class Worker:
    """A worker process, and the events it noted as applied."""

    def __init__(self, *arguments: str) -> None:
        self.notes: list[str] = []
        self.has_worked = threading.Event()
        self._process = subprocess.Popen([sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.notes.append(line.strip())
                self.has_worked.set()

    def kill(self) -> None:
        self._process.kill()
        assert self._process.wait() == -signal.SIGKILL
        self._reader.join()


def test_nothing_is_lost_or_applied_twice_while_connections_drop_and_a_worker_dies(
    crm: Any, serve: Callable[..., str], start_broker: Callable[..., Any]
) -> None:
    """Two receivers and three workers share one queue; the locks a dead worker leaves run out after two seconds."""
    broker = start_broker()
    at_the_service = broker.add_queue(QUEUE, lock_duration=timedelta(seconds=2), max_deliveries=100)
    rows = [crm.emulator.service().create(Entity("new_payment", None, {"new_name": f"PAY-{n}"})) for n in range(ROWS)]
    events = [
        event(row_id, number, event_type, received)
        for number, row_id in enumerate(rows)
        for event_type, received in (("payment_intent.processing", 0), ("payment_intent.succeeded", 12_900))
    ]
    url = serve(crm.app)
    with ExitStack() as cleanup:
        workers = [Worker(broker.connection_string, url) for _ in range(3)]
        for worker in workers[1:]:
            cleanup.callback(worker.kill)
        senders = cleanup.enter_context(ThreadPoolExecutor(2))
        sending = [
            senders.submit(send_stubbornly, broker.connection_string, half) for half in (events[::2], events[1::2])
        ]

        assert workers[0].has_worked.wait(60)
        workers[0].kill()
        pause = threading.Event()
        for _ in range(4):
            pause.wait(1.5)
            broker.drop_connections()
        for each in sending:
            each.result(timeout=120)
        deadline = datetime.now(UTC) + timedelta(seconds=90)
        while at_the_service.messages and datetime.now(UTC) < deadline:
            pause.wait(0.2)

    assert at_the_service.messages == {}
    assert at_the_service.dead_letters.messages == {}
    assert {status(crm, row_id) for row_id in rows} == {PaymentStatus.COMPLETED}
    applied = Counter(note for worker in workers for note in worker.notes)
    assert [event_id for event_id, times in applied.items() if times > 1] == []
    assert all(worker.notes for worker in workers)


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
