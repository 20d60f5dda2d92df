"""What docs/emulator.md shows, runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.emulator.messages.handlers import MESSAGES

GUIDE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
CHAPTERS = re.split(r"^##? ", GUIDE, flags=re.MULTILINE)[1:]
EXAMPLES = [
    pytest.param(example, id=chapter.partition("\n")[0])
    for chapter in CHAPTERS
    for example in re.findall(r"```python\n(.*?)```", chapter, re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_by_itself(example: str) -> None:
    exec(compile(example, "docs/emulator.md", "exec"), {"__name__": "example"})  # noqa: S102


@pytest.mark.parametrize("message", sorted({name for name, _ in MESSAGES.values()} - {"DeleteMultiple"}))
def test_every_message_is_in_the_guide(message: str) -> None:
    assert message.removesuffix("DynamicEntity") in GUIDE
