"""The shipped plug-ins show what a plug-in may import, so they keep to it themselves."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = sorted((Path(__file__).parents[2] / "plugins").glob("*.py"))
OURS = {"runner.plugin", "dataverse_client.types", "azure_bridge.ledger", "azure_bridge.minor_units"}
LIBRARIES = {"stripe", "jinja2"}


def imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("module", PLUGINS, ids=lambda module: module.stem)
def test_a_plugin_imports_the_authors_interface_and_nothing_else_of_ours(module: Path) -> None:
    others = {
        name
        for name in imported(module)
        if name not in OURS and name.split(".")[0] not in {"plugins", *LIBRARIES, *sys.stdlib_module_names}
    }
    assert others == set()
