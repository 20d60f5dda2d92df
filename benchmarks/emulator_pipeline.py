"""What the event pipeline costs, against a bare sqlite3 transaction that writes the same columns.

    python benchmarks/emulator_pipeline.py [rows per round]

In memory, one process; all take turns, medians of the rounds. The trace log is off, as in a new environment.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from decimal import Decimal
from statistics import median
from time import perf_counter

from dataverse_client.types import Entity, EntityReference, Money, new_guid
from runner.emulator.emulator import Emulator
from runner.emulator.seed import currency_id
from runner.emulator.trace_log import TraceSetting
from runner.execution.step import Image, Step
from runner.plugin import Plugin, PluginContext

ROUNDS = 15
ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000

COLUMNS = {
    "new_name": "Invoice 7",
    "new_amount": Money(Decimal("19.99")),
    "transactioncurrencyid": EntityReference("transactioncurrency", currency_id("EUR")),
}


class Nothing(Plugin):
    def execute(self, context: PluginContext) -> None: ...


class UpdateAgain(Plugin):
    """Updates its row until the third level."""

    def execute(self, context: PluginContext) -> None:
        if context.depth < 3:
            context.organization.update(Entity("new_payment", context.primary_entity_id, {"new_name": "Deeper"}))


def steps(stages: tuple[int, ...], image: Image | None = None) -> list[Step]:
    made = []
    for stage in stages:
        images = (image,) if image and stage == 40 else ()
        made.append(Step(plugin=Nothing(), message="Create", entity="new_payment", stage=stage, images=images))
    return made


def nested() -> list[Step]:
    return [
        Step(plugin=UpdateAgain(), message=message, entity="new_payment", stage=40) for message in ("Create", "Update")
    ]


def creating(registered: list[Step], rows: int = 0) -> Callable[[], object]:
    """Creates a row in a table that has that many."""
    service = Emulator(registered, trace_setting=TraceSetting.OFF).service()
    for _ in range(rows):
        service.create(Entity("new_payment", None, COLUMNS))
    return lambda: service.create(Entity("new_payment", None, COLUMNS))


def bare_create() -> Callable[[], object]:
    """The same table, indexes and values as the emulator's."""
    emulator = Emulator(trace_setting=TraceSetting.OFF)
    id = emulator.service().create(Entity("new_payment", None, COLUMNS))
    execute = emulator._engine.store.execute
    bare = sqlite3.connect(":memory:", isolation_level=None)
    for (sql,) in execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'new_payment' AND sql IS NOT NULL"):
        bare.execute(sql)
    names = [row[1] for row in execute('PRAGMA table_info("new_payment")')]
    row = execute(f"SELECT {', '.join(names)} FROM new_payment WHERE new_paymentid = ?", (id,)).fetchone()
    written = {name: value for name, value in zip(names, row, strict=True) if value is not None}
    del written["new_paymentid"]
    insert = f"INSERT INTO new_payment (new_paymentid, {', '.join(written)}) VALUES (?{', ?' * len(written)})"
    values = tuple(written.values())

    def create() -> None:
        bare.execute("BEGIN")
        bare.execute(insert, (new_guid(), *values))
        bare.execute("COMMIT")

    return create


def timed(action: Callable[[], object]) -> float:
    """Microseconds per call."""
    start = perf_counter()
    for _ in range(ROWS):
        action()
    return (perf_counter() - start) / ROWS * 1e6


def main() -> None:
    three = (10, 20, 40)
    contenders = {
        "bare sqlite3 transaction": bare_create(),
        "Create, no step": creating([]),
        "Create, no step, 100 000 rows there": creating([], rows=100_000),
        "Create, 3 steps": creating(steps(three)),
        "Create, 3 steps, post-image of 2 columns": creating(
            steps(three, Image("after", "post", ("new_name", "new_amount")))
        ),
        "Create, 3 steps, post-image of all columns": creating(steps(three, Image("after", "post"))),
        "Create that updates its row, 3 deep": creating(nested()),
    }
    rounds = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, action in contenders.items():
            rounds[name].append(timed(action))
    floor = median(rounds["bare sqlite3 transaction"])
    for name, times in rounds.items():
        print(f"{name:45} {median(times):7.1f} us  {median(times) / floor:5.2f}x")


if __name__ == "__main__":
    main()
