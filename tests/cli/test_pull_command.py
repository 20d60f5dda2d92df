"""``runner pull`` as a person sees it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from runner.cli.main import runner
from runner.emulator.emulator import Emulator
from runner.registrations.load import parse

FILE = "steps: [{ name: Greet, plugin: 'a:B', message: Create, entity: account, stage: 20 }]\n"


@pytest.fixture
def environment(served, tmp_path):
    (tmp_path / "registrations.yaml").write_text(FILE)
    client = served(Emulator())
    run("apply", "--yes")
    return client


def run(*arguments):
    return CliRunner().invoke(runner, [*arguments])


def test_the_file_is_written_to_the_screen(environment):
    result = run("pull")
    assert result.exit_code == 0, result.output
    assert parse(result.output) == parse(FILE)


def test_a_file_that_is_there_is_not_overwritten_unasked(environment, tmp_path):
    refused = run("pull", "--output", "registrations.yaml")
    assert (refused.exit_code, "add --force" in refused.output) == (2, True)
    assert (tmp_path / "registrations.yaml").read_text() == FILE
    assert run("pull", "--output", "registrations.yaml", "--force").exit_code == 0
    assert parse((tmp_path / "registrations.yaml").read_text()) == parse(FILE)


@pytest.mark.parametrize("place", ["no/such/directory.yaml", "/dev/full"])
def test_a_place_that_takes_no_file_is_named(environment, place):
    result = run("pull", "--output", place, "--force")
    assert (result.exit_code, "cannot be written: No s" in result.stderr) == (1, True)
    assert "Errno" not in result.stderr


def test_a_full_disk_costs_no_file_that_was_there(environment, tmp_path):
    (tmp_path / "registrations.yaml.new").symlink_to("/dev/full")
    assert run("pull", "--output", "registrations.yaml", "--force").exit_code == 1
    assert (tmp_path / "registrations.yaml").read_text() == FILE
