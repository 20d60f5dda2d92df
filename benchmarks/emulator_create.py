"""What a row costs in the embedded Dataverse without its pipeline, against a bare sqlite3 transaction.

    python benchmarks/emulator_create.py [rows per round]

The same columns in the same table, in memory, one process; both sides take turns.
"""

from __future__ import annotations

from decimal import Decimal
from statistics import median

from bare_sqlite import BareTable
from rounds import interleaved, number_asked, ratio

from azure_bridge.clock import SystemClock
from dataverse_client.types import Entity, EntityReference, Money
from runner.emulator.metadata.load import load_metadata
from runner.emulator.rows.records import Records
from runner.emulator.seed import ADMINISTRATOR_ID, currency_id
from runner.emulator.storage.store import Store

ROUNDS = 15
ROWS = 2000

store = Store(load_metadata())
records = Records(store, SystemClock())
euro = EntityReference("transactioncurrency", currency_id("EUR"))
amount = Money(Decimal("19.99"))


def create() -> str:
    columns = {"new_name": "Invoice 7", "new_amount": amount, "transactioncurrencyid": euro}
    store.begin()
    id = records.create(Entity("new_payment", None, columns), ADMINISTRATOR_ID)
    store.commit()
    return id


def update(id: str) -> None:
    store.begin()
    records.update(Entity("new_payment", id, {"new_name": "Invoice 8", "new_amount": amount}), ADMINISTRATOR_ID)
    store.commit()


def main() -> None:
    rows = number_asked(__doc__, "rows per round", ROWS)
    row = create()
    bare = BareTable(store, row)
    bare_create = bare.creating()
    bare_row = bare_create()
    changed = ("new_name", "new_amount", "new_amount_base", "exchangerate", "modifiedon", "modifiedby", "versionnumber")
    contenders = {
        "bare create": bare_create,
        "create": create,
        "bare update": bare.updating(bare_row, *changed),
        "update": lambda: update(row),
    }
    times = interleaved(contenders, ROUNDS, rows)
    for name in ("create", "update"):
        ours, floor = median(times[name]), median(times[f"bare {name}"])
        print(f"{name}: {ours:.1f} us, bare sqlite3 {floor:.1f} us, {ratio(times, name, f'bare {name}'):.2f}x")


if __name__ == "__main__":
    main()
