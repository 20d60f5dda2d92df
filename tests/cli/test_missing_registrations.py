"""A command that finds no registrations file says so in the same words, whichever it is."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from runner.cli.main import runner


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNNER_REGISTRATIONS", raising=False)


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        ("check", 2),
        ("simulate", 2),
        ("apply", 2),
        ("plan", 1),
        ("queue drain", 2),
        ("serve --port 0", 2),
        ("emulate --port 0 --registrations registrations.yaml", 2),
    ],
)
def test_a_missing_file_is_refused_saying_where_to_look(command: str, exit_code: int) -> None:
    result = CliRunner().invoke(runner, command.split())
    assert result.exit_code == exit_code
    assert result.output.startswith(
        "Error: registrations.yaml cannot be read: No such file or directory. Start in the directory that has it, or "
        "name it: on the command line, or in RUNNER_REGISTRATIONS."
    )


def test_doctor_reports_a_missing_file_and_goes_on() -> None:
    result = CliRunner().invoke(runner, ["doctor"])
    assert "registrations.yaml cannot be read: No such file or directory. Start in the directory" in result.output
