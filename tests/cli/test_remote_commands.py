"""Commands that work for a Dataverse of another process refuse to start without one: theirs would be empty."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from runner.cli.main import runner


@pytest.mark.parametrize("command", [["poll", "--once"], ["work"], ["listen"]], ids=" ".join)
def test_without_an_environment_there_is_nothing_to_work_for(command, monkeypatch) -> None:
    monkeypatch.delenv("DATAVERSE_URL", raising=False)
    result = CliRunner().invoke(runner, command)
    assert (result.exit_code, "DATAVERSE_URL is not set" in result.output) == (2, True)


def test_polling_for_a_program_is_polling_once() -> None:
    result = CliRunner().invoke(runner, ["poll", "--json"])
    assert (result.exit_code, "add --once" in result.stderr) == (2, True)
