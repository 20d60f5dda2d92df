"""``runner poll`` where there is nothing to poll."""

from __future__ import annotations

from click.testing import CliRunner

from runner.cli.main import runner


def test_the_embedded_dataverse_needs_no_polling(monkeypatch) -> None:
    monkeypatch.delenv("DATAVERSE_URL", raising=False)
    result = CliRunner().invoke(runner, ["poll", "--once"])
    assert (result.exit_code, "DATAVERSE_URL is not set" in result.output) == (2, True)
