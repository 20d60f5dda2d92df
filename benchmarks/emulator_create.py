"""What a row costs in the embedded Dataverse, against a bare sqlite3 transaction that writes the same columns.

    python benchmarks/emulator_create.py [rows per round]

In memory, one process; both sides take turns, medians of the rounds.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from decimal import Decimal
from statistics import median
from time import perf_counter

from azure_bridge.clock import SystemClock
from dataverse_client.types import Entity, EntityReference, Money, new_guid
from runner.emulator.metadata.load import load_metadata
from runner.emulator.records import Records
from runner.emulator.seed import ADMINISTRATOR_ID, currency_id
from runner.emulator.store import Store

ROUNDS = 15
ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 2000

store = Store(load_metadata())
records = Records(store, SystemClock())
euro = EntityReference("transactioncurrency", currency_id("EUR"))
amount = Money(Decimal("19.99"))


def payment() -> Entity:
    columns = {"new_name": "Invoice 7", "new_amount": amount, "transactioncurrencyid": euro}
    return Entity("new_payment", None, columns)


def create() -> str:
    store.begin()
    id = records.create(payment(), ADMINISTRATOR_ID)
    store.commit()
    return id


def update(id: str) -> None:
    store.begin()
    records.update(Entity("new_payment", id, {"new_name": "Invoice 8", "new_amount": amount}), ADMINISTRATOR_ID)
    store.commit()


def bare_table() -> tuple[sqlite3.Connection, list[str], tuple[object, ...]]:
    """The same table and indexes in a database of its own, and a row the emulator wrote."""
    bare = sqlite3.connect(":memory:", isolation_level=None)
    statements = store.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'new_payment' AND sql IS NOT NULL")
    for (sql,) in statements.fetchall():
        bare.execute(sql)
    id = create()
    names = [row[1] for row in store.execute('PRAGMA table_info("new_payment")')]
    row = store.execute(f"SELECT {', '.join(names)} FROM new_payment WHERE new_paymentid = ?", (id,)).fetchone()
    written = {name: value for name, value in zip(names, row, strict=True) if value is not None}
    return bare, list(written), tuple(written.values())


bare, names, values = bare_table()
insert = f"INSERT INTO new_payment ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
change = "UPDATE new_payment SET new_name = ?, new_amount = ?, new_amount_base = ?, exchangerate = ?, modifiedon = ?"
change += ", modifiedby = ?, versionnumber = ? WHERE new_paymentid = ?"
id_position = names.index("new_paymentid")


def bare_create() -> str:
    id = new_guid()
    row = (*values[:id_position], id, *values[id_position + 1 :])
    bare.execute("BEGIN")
    bare.execute(insert, row)
    bare.execute("COMMIT")
    return id


def bare_update(id: str) -> None:
    bare.execute("BEGIN")
    bare.execute(change, ("Invoice 8", 199900, 249875, 8000000000, "2026-01-01T12:00:00Z", ADMINISTRATOR_ID, 7, id))
    bare.execute("COMMIT")


def timed(action: Callable[[], object]) -> float:
    """Microseconds per call."""
    start = perf_counter()
    for _ in range(ROWS):
        action()
    return (perf_counter() - start) / ROWS * 1e6


def compare(name: str, ours: Callable[[], object], floor: Callable[[], object]) -> None:
    rounds = [(timed(ours), timed(floor)) for _ in range(ROUNDS)]
    ours_us, floor_us = median(r[0] for r in rounds), median(r[1] for r in rounds)
    print(f"{name}: {ours_us:.1f} us, bare sqlite3 {floor_us:.1f} us, {ours_us / floor_us:.2f}x")


def main() -> None:
    compare(f"create ({len(names)} columns)", create, bare_create)
    row, bare_row = create(), bare_create()
    compare("update", lambda: update(row), lambda: bare_update(bare_row))


if __name__ == "__main__":
    main()
