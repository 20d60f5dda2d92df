"""Commands import only what they need, and errors are one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runner.cli.main import COMMANDS, LazyGroup, runner

REGISTRATIONS = Path(__file__).parents[2] / "registrations.yaml"

HEAVY = {"stripe", "azure", "msal", "sqlalchemy", "starlette", "requests", "pydantic", "yaml", "rich", "jinja2"}
#: What a payment that goes all the way round has no use for.
NOT_SIMULATED = {
    "azure",
    "cryptography",
    "defusedxml",
    "msal",
    "multiprocessing",
    "prometheus_client",
    "rich",
    "sqlalchemy",
    "sqlglot",
    "starlette",
    "uvicorn",
    "watchfiles",
}


PROGRAM = """
import json, sys
from click.testing import CliRunner
from runner.cli.main import runner

known = set()
for arguments in json.loads(sys.argv[1]):
    result = CliRunner().invoke(runner, arguments)
    assert result.exit_code == 0, result.output
    packages = {name.partition(".")[0] for name in sys.modules}
    print(json.dumps([arguments, sorted(packages - known)]))
    known |= packages
"""


def imported_by(*commands: list[str]) -> dict[str, set[str]]:
    """The top-level packages that each of these commands was the first to import, in a process that ran them well."""
    process = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    done = subprocess.run(process, check=True, capture_output=True, text=True)
    return {" ".join(arguments): set(packages) for arguments, packages in map(json.loads, done.stdout.splitlines())}


def test_no_help_imports_anything_heavy() -> None:
    imported = imported_by(["--help"], *([name, "--help"] for name in COMMANDS))
    assert len(imported) == 1 + len(COMMANDS)
    assert {command: packages & HEAVY for command, packages in imported.items() if packages & HEAVY} == {}


def test_a_simulation_imports_only_what_it_runs() -> None:
    [packages] = imported_by(["simulate", "--registrations", str(REGISTRATIONS)]).values()
    assert NOT_SIMULATED & packages == set()


def test_help_names_every_command() -> None:
    said = CliRunner().invoke(runner, ["--help"]).output
    for name, (_, summary) in COMMANDS.items():
        assert name in said
        assert summary in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page(name: str) -> None:
    result = CliRunner().invoke(runner, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: runner {name}")


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(runner, ["--version"]).output.startswith("runner 0.")


def test_an_unknown_command_exits_with_2() -> None:
    result = CliRunner().invoke(runner, ["dance"])
    assert (result.exit_code, "No such command 'dance'" in result.output) == (2, True)


def test_a_misspelt_command_is_recognised() -> None:
    assert "Did you mean simulate?" in CliRunner().invoke(runner, ["simulat"]).output


class Refused(Exception):
    exit_code = 2


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that fails while it holds a secret."""

    def fail() -> None:
        raise Refused("The key sk_test_51abcDEF is not known.")

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: click.Command("fail", callback=fail))


@pytest.mark.usefixtures("failing")
def test_an_error_is_one_sentence_without_secrets() -> None:
    result = CliRunner().invoke(runner, ["fail"])
    assert result.exit_code == 2
    assert result.output == "Error: The key sk_test_*** is not known.\n"


@pytest.mark.usefixtures("failing")
def test_the_traceback_option_shows_where_an_error_came_from() -> None:
    result = CliRunner().invoke(runner, ["--traceback", "fail"])
    assert "Traceback" in result.output
    assert "in fail" in result.output
    assert "abcDEF" not in result.output
