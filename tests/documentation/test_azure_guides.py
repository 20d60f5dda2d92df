"""What the guides to Azure name is there: settings, commands, files, privileges."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.cli.main import COMMANDS
from runner.settings import Settings

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "docs" / name for name in ("authentication.md", "deploy-azure.md")]
#: Others read these: MSAL and requests, or the Functions host.
FOREIGN = {
    "HTTPS_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "RECONCILE_SCHEDULE",
}

guides = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)


@guides
def test_every_setting_named_is_one_that_is_read(guide: Path) -> None:
    named = set(
        re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`|^(?:export )?([A-Z]+(?:_[A-Z]+)+)=", guide.read_text(), re.MULTILINE)
    )
    settings = {setting.upper() for setting in Settings.__dataclass_fields__}
    assert {name for pair in named for name in pair if name} <= settings | FOREIGN


@guides
def test_every_command_named_is_there(guide: Path) -> None:
    named = set(re.findall(r"(?:^|`|bin/)runner ([a-z]+)", guide.read_text(), re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)


@guides
def test_every_link_leads_somewhere(guide: Path) -> None:
    text = guide.read_text()
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)
    }
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("#"):
            assert link[1:] in anchors
        elif not link.startswith("http"):
            assert (guide.parent / link.partition("#")[0]).exists(), link


@guides
def test_each_guide_says_what_could_not_be_run(guide: Path) -> None:
    assert "could not be run where this page was written" in guide.read_text()


def test_the_role_that_is_made_has_the_privileges_of_working() -> None:
    text = GUIDES[0].read_text()
    made = re.search(r"privileges\.txt <<'END'\n(.+?)\nEND", text, re.DOTALL)[1].split()
    (row,) = re.findall(r"^\| `runner work`.*$", text, re.MULTILINE)
    assert sorted(made) == sorted(re.findall(r"prv\w+", row))


def test_every_setting_of_an_identity_is_in_the_table() -> None:
    table = GUIDES[0].read_text().rpartition("## Settings")[2]
    about_us = {name.upper() for name in Settings.__dataclass_fields__ if name.startswith("azure_")}
    about_us |= {
        name.upper() for name in Settings.__dataclass_fields__ if re.match("dataverse_(auth|tenant|client)", name)
    }
    assert {name for name in about_us if f"`{name}`" not in table} == set()
