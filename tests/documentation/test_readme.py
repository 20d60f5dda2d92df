"""The README leads everywhere, and what it shows works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli.main import COMMANDS, runner

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\]\(([^)#]+)\)", README)
SHOWN = re.findall(r"^\.venv/bin/runner (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
#: Commands that serve until they are stopped.
SERVERS = {"emulate", "serve"}


def test_every_guide_is_linked() -> None:
    guides = {f"docs/{guide.name}" for guide in (ROOT / "docs").glob("*.md")}
    assert guides <= set(LINKS)


def test_every_link_leads_somewhere() -> None:
    assert [link for link in LINKS if not link.startswith("http") and not (ROOT / link).exists()] == []


def test_the_first_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    first_block = README.split("```")[1]
    targets = re.findall(r"^make (\w+)", first_block, re.MULTILINE)
    assert targets == ["simulate", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)


@pytest.mark.parametrize("command", [shown for shown in SHOWN if shown.split()[0] not in SERVERS])
def test_every_command_shown_works(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(runner, shlex.split(command))
    assert result.exit_code == 0, result.output


def test_the_plug_in_shown_runs_where_it_is_to_be_kept_and_refuses(tmp_path: Path) -> None:
    plugin, step = (re.search(rf"```{language}\n(.+?)```", README, re.DOTALL)[1] for language in ("python", "yaml"))
    ours = (ROOT / "registrations.yaml").read_text(encoding="utf-8")
    (tmp_path / "payment_names.py").write_text(plugin, encoding="utf-8")
    (tmp_path / "registrations.yaml").write_text(ours.replace("steps:\n", f"steps:\n{step}", 1), encoding="utf-8")

    def simulate(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "runner.cli", "simulate", "--outcome", "none", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    refused, said = simulate("--set", "name=")
    assert (refused, "CRM refused the row: Give the payment a name." in said) == (1, True)
    assert simulate()[0] == 0


def test_every_server_command_shown_exists() -> None:
    assert {shown.split()[0] for shown in SHOWN} - {"simulate", "check"} == SERVERS
    assert set(COMMANDS) >= SERVERS
