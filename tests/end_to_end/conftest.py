"""Runs ``runner simulate`` as a user would, in this process, and reads its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli.main import runner


@dataclass(frozen=True)
class Simulated:
    """How a simulation ended: ``document`` is its JSON, ``said`` everything it printed."""

    exit_code: int
    document: dict[str, Any]
    said: str

    @property
    def row(self) -> dict[str, Any]:
        return self.document["row"]

    @property
    def intent(self) -> dict[str, Any]:
        return self.document["intent"]

    def records(self, kind: str, **facts: Any) -> list[dict[str, Any]]:
        """The timeline's records of a kind whose fields have these values."""
        return [
            record
            for record in self.document["timeline"]
            if record["kind"] == kind and all(record[name] == value for name, value in facts.items())
        ]


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a fresh machine: no setting reaches the simulation by accident."""
    from dataclasses import fields

    from runner.settings import Settings

    for setting in fields(Settings):
        monkeypatch.delenv(setting.name.upper(), raising=False)


@pytest.fixture
def run() -> Callable[..., Simulated]:
    """``runner simulate`` with these arguments, as a person sees it."""

    def run_simulate(*arguments: str) -> Simulated:
        result = CliRunner().invoke(runner, ["simulate", *arguments], catch_exceptions=False)
        return Simulated(result.exit_code, {}, result.output)

    return run_simulate


@pytest.fixture
def simulate() -> Callable[..., Simulated]:
    """``runner simulate --json`` with these arguments."""

    def run_simulate(*arguments: str) -> Simulated:
        result = CliRunner().invoke(runner, ["simulate", "--json", *arguments], catch_exceptions=False)
        document = json.loads(result.stdout) if result.exit_code != 2 else {}
        return Simulated(result.exit_code, document, result.output)

    return run_simulate
