"""Payment events from the durable queue to CRM rows: requests to Dataverse, and the rate against bare SQLite.

    PYTHONPATH=. python benchmarks/draining.py [--events 2000]

The queue and the embedded Dataverse keep their files as the product does. Every event is about a row of its own, and is
applied through the Web API, in process: one query and one ``$batch`` for each batch of the queue. A user of a real
environment may send 6,000 requests in five minutes, so the requests are what decides there; the rate is only reported.
The floor writes the same columns of the same rows by one ``executemany``, into a file that is as durable.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import process_time
from typing import Any

import requests

from azure_bridge.payment_event import PaymentEvent, encode
from azure_bridge.processor import PaymentProcessor
from azure_bridge.queues.contract import QueueMessage
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.tables import BridgeConfiguration, PaymentTable
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.types import Entity, Money
from runner.emulator.adapter import EmbeddedAdapter
from runner.emulator.emulator import Emulator
from runner.emulator.storage.text import fold
from runner.emulator.webapi import WebApi

URL = "http://embedded.dataverse.local"
TABLE = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")
#: What a payment that succeeded writes, system columns included.
WRITTEN = """new_stripepaymentintentid, new_paymentstatus, new_amountreceived, new_amountreceived_base, new_paidon,
    new_lastevent, new_stripeledger, modifiedon, modifiedby, versionnumber"""


class CountingAdapter(EmbeddedAdapter):
    """Counts what would go over the wire."""

    requests = 0

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        self.requests += 1
        return super().send(request, *arguments, **options)


def payment_rows(emulator: Emulator, count: int) -> list[str]:
    crm, amount = emulator.service(), Money(Decimal("129.00"))
    return [
        crm.create(Entity("new_payment", None, {"new_amount": amount, "new_stripepaymentintentid": f"pi_{number}"}))
        for number in range(count)
    ]


def succeeded(number: int, row_id: str) -> PaymentEvent:
    return PaymentEvent(
        event_id=f"evt_{number}",
        event_type="payment_intent.succeeded",
        created=datetime.now(UTC),
        livemode=False,
        object_id=f"pi_{number}",
        intent_id=f"pi_{number}",
        status="succeeded",
        currency="usd",
        amount=12_900,
        amount_received=12_900,
        row_table="new_payment",
        row_id=row_id,
    )


@contextmanager
def processor(emulator: Emulator) -> Iterator[tuple[PaymentProcessor, CountingAdapter]]:
    adapter = CountingAdapter(WebApi(emulator))
    with closing(DataverseClient(URL, tokens=NoAuthentication())) as client:
        client.mount(URL, adapter)
        yield PaymentProcessor(client, BridgeConfiguration(tables=(TABLE,), events=frozenset())), adapter


def drained(directory: Path, count: int) -> tuple[float, int]:
    """Seconds of processor time, and requests."""
    with (
        Emulator(database=directory / "dataverse.db") as emulator,
        closing(EmbeddedQueue(directory / "queue.db", "payment-events")) as queue,
        processor(emulator) as (drainer, adapter),
    ):
        rows = payment_rows(emulator, count)
        queue.send([QueueMessage(encode(succeeded(*row)), f"evt_{row[0]}") for row in enumerate(rows)])
        start = process_time()
        summary = drainer.drain(queue)
        spent = process_time() - start
    if summary.completed != count:
        raise SystemExit(f"{summary}: not every event was applied.")
    return spent, adapter.requests


def written_again(database: Path) -> float:
    """Seconds of processor time for writing what the drained rows hold once more, by themselves."""
    with closing(sqlite3.connect(database, isolation_level=None)) as bare:
        # The indexes of texts call it.
        bare.create_function("fold", 1, fold, deterministic=True)
        bare.execute("PRAGMA synchronous = FULL")
        rows = bare.execute(f"SELECT {WRITTEN}, new_paymentid FROM new_payment").fetchall()
        changes = ", ".join(f"{column.strip()} = ?" for column in WRITTEN.split(","))
        start = process_time()
        bare.execute("BEGIN")
        bare.executemany(f"UPDATE new_payment SET {changes} WHERE new_paymentid = ?", rows)
        bare.execute("COMMIT")
        return process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000, help="how many wait in the queue (%(default)s)")
    count = parser.parse_args().events
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        spent, asked = drained(directory, count)
        bare = written_again(directory / "dataverse.db")
    print(f"{count} events: {count / spent:,.0f} a second, {spent / bare:.0f}x of executemany's time")
    print(f"requests to Dataverse for each event: {asked / count:.3f} (target 0.05)")


if __name__ == "__main__":
    main()
