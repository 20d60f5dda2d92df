"""The guides name every setting and every option of the commands that serve."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from runner.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("setting", [field.name.upper() for field in fields(Settings)])
def test_every_setting_is_in_the_table(setting) -> None:
    assert f"| `{setting}` |" in (DOCS / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["serve", "work", "listen", "poll"])
def test_every_option_is_in_the_guide(name) -> None:
    command = getattr(import_module(f"runner.cli.{name}"), name)
    [line] = [
        line for line in (DOCS / "serve.md").read_text(encoding="utf-8").splitlines() if f"| `runner {name}` |" in line
    ]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {option for option in options if f"`{option}`" not in line} == set()
