"""A person who finds a dead letter finds its reason in the guides, too."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from azure_bridge import settlement
from runner.intake import dispatcher

DOCS = Path(__file__).parents[2] / "docs"


def reasons(module: ModuleType) -> list[str]:
    constants = [value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)]
    return [value for value in constants if re.fullmatch(r"([A-Z][a-z]+)+", value)]


@pytest.mark.parametrize(
    ("page", "reason"),
    [("queue.md", each) for each in reasons(settlement)] + [("serve.md", each) for each in reasons(dispatcher)],
)
def test_a_guide_says_what_to_do_about_it(page: str, reason: str) -> None:
    assert re.search(rf"^\| `{reason}` \| \w", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
