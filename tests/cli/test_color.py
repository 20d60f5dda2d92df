"""Colour on the terminal, where the environment does not say otherwise."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from runner.cli.main import runner


@pytest.mark.parametrize(
    ("terminal", "environment", "colored"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
    ids=["terminal", "pipe", "terminal without colour", "pipe with colour", "both asked for"],
)
def test_colour_follows_the_terminal_no_color_and_force_color(
    tmp_path, monkeypatch, terminal, environment, colored
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner(env=environment).invoke(runner, ["doctor"], color=terminal)
    assert ("\x1b[" in result.output) is colored
