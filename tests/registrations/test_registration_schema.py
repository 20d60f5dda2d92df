"""The committed JSON Schema is the model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.registrations.document import Document
from runner.registrations.schema import SCHEMA_FILE, json_schema, rendered

SHIPPED = Path(__file__).parents[2] / "registrations.yaml"


def test_the_committed_schema_is_the_model_s() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == rendered(), (
        f"The model has changed. Run: runner check --schema > {SCHEMA_FILE.name}"
    )


def test_it_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_the_shipped_file_is_valid_by_it() -> None:
    Draft202012Validator(json_schema()).validate(Document(SHIPPED.read_text(encoding="utf-8")).data)


@pytest.mark.parametrize(
    "step",
    [
        {"name": "A", "plugin": "a:B", "message": "Create", "stage": 30},
        {"name": "A", "plugin": "a:B", "message": "create", "stage": 20},
        {"name": "A", "plugin": "a.B", "message": "Create", "stage": 20},
        {"name": "A", "plugin": "a:B", "message": "Create", "stage": 20, "colour": "red"},
        {"plugin": "a:B", "message": "Create", "stage": 20},
    ],
    ids=["stage", "message", "plugin", "unknown key", "missing name"],
)
def test_editors_see_what_is_wrong(step: dict[str, Any]) -> None:
    assert not Draft202012Validator(json_schema()).is_valid({"steps": [step]})


def test_every_key_is_described() -> None:
    schema = json_schema()
    owners = {"": schema, **schema["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, owner in owners.items()
        for key, value in owner.get("properties", {}).items()
        if not value.get("description")
    ]
    assert bare == []


def test_the_shipped_file_points_editors_to_it() -> None:
    first_line = SHIPPED.read_text(encoding="utf-8").splitlines()[0]
    named = first_line.removeprefix("# yaml-language-server: $schema=")
    assert (SHIPPED.parent / named).samefile(SCHEMA_FILE)
