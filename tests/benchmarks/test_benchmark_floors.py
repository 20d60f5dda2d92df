"""The bare SQLite that benchmarks compare with works on the tables as the emulator makes them today."""

from __future__ import annotations

import importlib
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from dataverse_client.types import Entity, Money
from runner.emulator.emulator import Emulator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare_sqlite(monkeypatch):
    """The module of that name in ``benchmarks``."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("bare_sqlite")


def test_a_row_of_the_emulator_is_written_once_more_by_bare_sqlite(bare_sqlite) -> None:
    emulator = Emulator()
    values = {"new_name": "Invoice 7", "new_amount": Money(Decimal("19.99"))}
    written = emulator.service().create(Entity("new_payment", None, values))
    bare = bare_sqlite.bare_database(emulator._engine.store)

    table = bare_sqlite.BareTable(emulator._engine.store, written)

    assert table.creating()() != written
    assert table.row["new_amount"] is not None
    assert bare.execute("SELECT count(*) FROM new_payment").fetchone() == (0,)


def test_events_are_drained_and_their_rows_written_once_more() -> None:
    command = [sys.executable, "benchmarks/draining.py", "--events", "3"]

    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "3 events" in done.stdout
