"""A file of rows belongs to one emulator at a time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from dataverse_client.types import Entity
from runner.cli.main import runner
from runner.emulator.emulator import Emulator
from runner.emulator.storage.database_lock import DatabaseInUseError

HOLDER = """
import sys
from pathlib import Path
from runner.emulator.emulator import Emulator
emulator = Emulator(database=Path(sys.argv[1]))
print("here", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def database(tmp_path):
    return tmp_path / "dataverse.db"


@pytest.fixture
def holder(database):
    """Another process that has the rows open."""
    command = [sys.executable, "-c", HOLDER, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"here\n"
        yield process
        process.kill()


def test_a_second_emulator_is_told_who_has_the_rows(database):
    with Emulator(database=database), pytest.raises(DatabaseInUseError, match=f"in use by process {os.getpid()}"):
        Emulator(database=database)


def test_a_closed_database_can_be_opened_again(database):
    with Emulator(database=database) as first:
        id = first.service().create(Entity("account", None, {"name": "A"}))
    with Emulator(database=database) as second:
        assert second.service().retrieve("account", id)["name"] == "A"


def test_another_process_keeps_others_out_until_it_is_killed(database, holder):
    with pytest.raises(DatabaseInUseError, match=f"process {holder.pid}"):
        Emulator(database=database)
    holder.kill()
    holder.wait()
    Emulator(database=database).close()


def test_runner_emulate_exits_with_2_when_the_database_is_in_use(database):
    arguments = ["emulate", "--no-registrations", "--port", "0", "--data", str(database.parent)]
    with Emulator(database=database):
        ended = CliRunner().invoke(runner, arguments)
    assert (ended.exit_code, f"{database} is in use by process {os.getpid()}" in ended.output) == (2, True)


def test_a_lock_that_cannot_be_asked_for_is_told_in_words(tmp_path):
    (tmp_path / "rows.db.lock").mkdir()
    with pytest.raises(DatabaseInUseError, match=r"rows\.db\.lock cannot be opened: .* Run as its owner"):
        Emulator(database=tmp_path / "rows.db")
