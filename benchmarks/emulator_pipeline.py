"""What the event pipeline costs, against a bare sqlite3 transaction that writes the same columns.

    python benchmarks/emulator_pipeline.py [rows per round]

The same columns in the same table, in memory, one process; all take turns. The trace log is off, as in a new
environment, except where it says otherwise. Ratios are to a floor that draws random ids, as programs do, and to one
that counts them, as the emulator does.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from statistics import median

from bare_sqlite import BareTable
from rounds import interleaved, number_asked, ratio

from dataverse_client.types import Entity, EntityReference, Money
from runner.emulator.emulator import Emulator
from runner.emulator.seed import currency_id
from runner.emulator.trace_log import TraceSetting
from runner.execution.step import Image, Step
from runner.plugin import Plugin, PluginContext

ROUNDS = 15
ROWS = 1000

FLOOR, COUNTED = "bare sqlite3, random ids", "bare sqlite3, counted ids"
TARGETS = {
    "no step": "2.0x",
    "3 steps": "2.5x",
    "3 steps, post-image of 2 columns": "3.0x",
    "3 steps, post-image of all columns": "3.0x",
}

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


def creating(registered: list[Step], rows: int = 0, setting: TraceSetting = TraceSetting.OFF) -> Callable[[], object]:
    """Creates a row in a table that has that many."""
    service = Emulator(registered, trace_setting=setting).service()
    for _ in range(rows):
        service.create(Entity("new_payment", None, COLUMNS))
    return lambda: service.create(Entity("new_payment", None, COLUMNS))


def bare_table() -> BareTable:
    """The same table, indexes and values as the emulator's."""
    emulator = Emulator(trace_setting=TraceSetting.OFF)
    id = emulator.service().create(Entity("new_payment", None, COLUMNS))
    return BareTable(emulator._engine.store, id)


def main() -> None:
    rows = number_asked(__doc__, "rows per round", ROWS)
    three, bare = (10, 20, 40), bare_table()
    two_columns = Image("after", "post", ("new_name", "new_amount"))
    contenders = {
        FLOOR: bare.creating(),
        COUNTED: bare.creating_counted(),
        "no step": creating([]),
        "no step, 100 000 rows there": creating([], rows=100_000),
        "3 steps": creating(steps(three)),
        "3 steps, all in the trace log": creating(steps(three), setting=TraceSetting.ALL),
        "3 steps, post-image of 2 columns": creating(steps(three, two_columns)),
        "3 steps, post-image of all columns": creating(steps(three, Image("after", "post"))),
        "updates its row, 3 deep": creating(nested()),
    }
    times = interleaved(contenders, ROUNDS, rows)
    print(f"{'Create':36} {'us':>7}  {'random':>7}  {'counted':>7}  target")
    for name, measured in times.items():
        against = f"{ratio(times, name, FLOOR):6.2f}x  {ratio(times, name, COUNTED):6.2f}x"
        print(f"{name:36} {median(measured):7.1f}  {against}  {TARGETS.get(name, '')}")
    print(f"100 000 rows: {ratio(times, 'no step, 100 000 rows there', 'no step'):.2f}x of no step (target 1.10x)")


if __name__ == "__main__":
    main()
