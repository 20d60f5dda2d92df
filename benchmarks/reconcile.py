"""Reconciling: what a run over very many payments takes, and that its memory does not grow with them.

    python benchmarks/reconcile.py [--small 10000] [--large 300000]

Stripe and CRM are generators here, which make each page when it is asked for; everything between them is what
``runner reconcile`` runs, cursor file included. Each size has a process of its own. One intent in a thousand differs.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azure_bridge.clock import ManualClock
from azure_bridge.reconcile import Reconciliation
from azure_bridge.reconcile.run import run
from azure_bridge.tables import BridgeConfiguration, PaymentStatus, PaymentTable
from dataverse_client.types import Entity, EntityCollection, Money, OptionSetValue, QueryExpression

DIFFERENT = 1000
SECONDS_APART = 10
TABLE = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")
CLOCK = ManualClock()


def row_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass(frozen=True, slots=True)
class Made:
    """An object of Stripe's, made of plain JSON."""

    facts: Mapping[str, Any]

    def to_dict(self) -> Mapping[str, Any]:
        return self.facts


def intent(number: int) -> Made:
    facts = {"id": f"pi_{number}", "object": "payment_intent", "livemode": False, "status": "succeeded"}
    created = int(CLOCK.now().timestamp()) - 3600 - number * SECONDS_APART
    money = {"amount": 12_900, "amount_received": 12_900, "currency": "eur"}
    metadata = {"CRM_PaymentId": row_id(number), "CRM_Table": "new_payment"}
    charge = {"id": f"ch_{number}", "captured": True, "created": created, "disputed": False}
    charge |= {"amount": 12_900, "amount_refunded": 0}
    return Made({**facts, **money, "created": created, "metadata": metadata, "latest_charge": charge})


class Stripe:
    """An account with so many intents, each paid, the newest first."""

    def __init__(self, intents: int) -> None:
        self._intents = intents
        self.v1 = SimpleNamespace(events=SimpleNamespace(list=self._no_events), payment_intents=self)

    def list(self, asked: Mapping[str, Any]) -> Any:
        first = int(str(asked.get("starting_after", "pi_-1")).removeprefix("pi_")) + 1
        last = min(first + asked["limit"], self._intents)
        return SimpleNamespace(data=[intent(number) for number in range(first, last)], has_more=last < self._intents)

    def _no_events(self, _: Mapping[str, Any]) -> Any:
        return SimpleNamespace(data=[], has_more=False)


class Crm:
    """Rows that say what their intents say, but one in a thousand; and as many that wait for money to be asked for."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection:
        named = [each for each in query.criteria.conditions if each.attribute_name == TABLE.primary_id]
        if named:
            return EntityCollection([paid(str(value)) for value in named[0].values])
        first = int(query.page_info.paging_cookie or 0) if query.page_info else 0
        last = min(first + 100, self._rows)
        waiting = [self._waiting(number) for number in range(first, last)]
        return EntityCollection(waiting, more_records=last < self._rows, paging_cookie=str(last))

    def _waiting(self, number: int) -> Entity:
        changed = CLOCK.now() - timedelta(hours=1, seconds=(self._rows - number) * SECONDS_APART)
        return Entity("new_payment", row_id(number), {"modifiedon": changed})


def paid(identity: str) -> Entity:
    number = int(identity[-12:])
    status = PaymentStatus.PENDING if number % DIFFERENT == 0 else PaymentStatus.COMPLETED
    columns = TABLE.columns
    said = {
        columns.intent_id: f"pi_{number}",
        columns.status: OptionSetValue(TABLE.statuses[status]),
        columns.amount_received: Money(Decimal("129.00")),
    }
    return Entity("new_payment", identity, said)


def differences(payments: int, directory: Path) -> Iterator[int]:
    """How many each page showed."""
    bridge = BridgeConfiguration(tables=(TABLE,), events=frozenset({"payment_intent.succeeded"}))
    made: Any = Stripe(payments), Crm(payments)
    reconciliation = Reconciliation(made[1], made[0], bridge, clock=CLOCK)
    since = CLOCK.now() - timedelta(hours=2, seconds=payments * SECONDS_APART)
    for progress in run(reconciliation, reconciliation.begin(since), directory / "reconcile.json"):
        yield len(progress.outcomes)


def measure(payments: int) -> None:
    """In this process: prints seconds, peak memory in KiB, and the differences found."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        found = sum(differences(payments, Path(directory)))
    assert found == -(-payments // DIFFERENT)
    print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, found)


def measured(payments: int) -> tuple[float, int]:
    """In another process: processor seconds, and peak memory in KiB."""
    command = [sys.executable, __file__, "--measure", str(payments)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    seconds, peak = float(said[0]), int(said[1])
    print(
        f"{payments:>9,} intents and rows  {payments / seconds:8,.0f}/s of processor time   peak {peak / 1024:6.1f} MiB"
    )
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=300_000)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    (_, small), (_, large) = measured(options.small), measured(options.large)
    print(f"peak memory, large to small: {large / small:.2f}   (target: at most 1.2)")


if __name__ == "__main__":
    main()
