"""The JSON Schema of registrations.yaml, generated from the model, for completion and checks in editors.

The committed copy is ``registrations.schema.json``, next to this module.
"""

from __future__ import annotations

import ast
import inspect
import json
from itertools import chain
from pathlib import Path
from typing import Any

from runner.registrations import bridge, endpoints, model, tables

_MODULES = (bridge, endpoints, model, tables)

SCHEMA_FILE = Path(__file__).with_name("registrations.schema.json")


def json_schema() -> dict[str, Any]:
    """The schema, JSON Schema Draft 2020-12. Descriptions are the texts under the model's fields."""
    schema = model.Registrations.model_json_schema()
    for name, texts in _field_texts().items():
        owner = schema if name == schema["title"] else schema["$defs"].get(name, {})
        for key, text in texts.items():
            if key in owner.get("properties", {}):
                owner["properties"][key]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "registrations.yaml"}


def rendered() -> str:
    """The text of the committed file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _field_texts() -> dict[str, dict[str, str]]:
    """Class -> field -> the text under it, inherited ones included.

    Read from the source when a schema is asked for: pydantic would read it at every start.
    """
    own: dict[str, dict[str, str]] = {}
    for each in chain.from_iterable(ast.parse(inspect.getsource(module)).body for module in _MODULES):
        if isinstance(each, ast.ClassDef):
            inherited = [own.get(base.id, {}) for base in each.bases if isinstance(base, ast.Name)]
            own[each.name] = {key: text for texts in (*inherited, _texts_in(each)) for key, text in texts.items()}
    return own


def _texts_in(section: ast.ClassDef) -> dict[str, str]:
    texts = {}
    for above, below in zip(section.body, section.body[1:], strict=False):
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name) and isinstance(below, ast.Expr):
            texts[above.target.id] = inspect.cleandoc(ast.literal_eval(below.value)).replace("\n", " ")
    return texts
