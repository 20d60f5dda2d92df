"""docs/registrations.md speaks of every key, and its examples are sound."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.registrations.load import parse
from runner.registrations.schema import json_schema

DOCS = Path(__file__).parents[2] / "docs" / "registrations.md"


def keys() -> list[str]:
    schema = json_schema()
    owners = [schema, *schema["$defs"].values()]
    return sorted({key for owner in owners for key in owner.get("properties", {})})


@pytest.mark.parametrize("key", keys())
def test_every_key_is_documented(key: str) -> None:
    assert f"`{key}`" in DOCS.read_text(encoding="utf-8")


def examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("example", examples(), ids=range(len(examples())))
def test_every_example_is_sound(example: str) -> None:
    parse(example)
