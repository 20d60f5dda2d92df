"""From ``module:Class`` to an instance."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.registrations.plugins import PluginLoadError, load_plugin

SOURCE = """
from runner.plugin import Plugin

class Bare(Plugin):
    def __init__(self):
        super().__init__()
    def execute(self, context): ...

class Configured(Plugin):
    def __init__(self, configuration):
        super().__init__(configuration)
    def execute(self, context): ...

class Secured(Plugin):
    def execute(self, context): ...

class Picky(Plugin):
    def __init__(self, configuration):
        raise ValueError("collect must be intent or checkout")
    def execute(self, context): ...

class Idle(Plugin): ...

class Stranger: ...
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the working directory of somebody's own project."""
    name = f"project_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield name
    sys.modules.pop(name, None)


@pytest.mark.behaviour(
    "Registration",
    "A plug-in's constructor takes nothing, the configuration, or that and the secure configuration",
    "write-plug-in",
)
def test_a_constructor_gets_as_many_configurations_as_it_takes(module: str) -> None:
    bare, configured, secured = (
        load_plugin(f"{module}:{name}", {"collect": "intent"}, {"key": "k"})
        for name in ("Bare", "Configured", "Secured")
    )
    assert (bare.configuration, bare.secure_configuration) == ({}, {})
    assert (configured.configuration, configured.secure_configuration) == ({"collect": "intent"}, {})
    assert (secured.configuration, secured.secure_configuration) == ({"collect": "intent"}, {"key": "k"})


def test_configuration_may_be_text(module: str) -> None:
    assert load_plugin(f"{module}:Secured", "collect=intent").configuration == "collect=intent"


@pytest.mark.behaviour(
    "Registration", "A plug-in's instance is shared by its executions, so nothing can be kept on it", "write-plug-in"
)
def test_an_instance_cannot_be_changed(module: str) -> None:
    plugin = load_plugin(f"{module}:Bare")
    with pytest.raises(AttributeError, match="shared"):
        plugin.seen = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Picki", "has no class Picki. Did you mean Picky?"),
        ("Picky", "could not be made: ValueError: collect must be intent or checkout (project_"),
        ("Idle", "has no execute method. Write: def execute(self, context: PluginContext)."),
        ("Stranger", "is not a plug-in. Write: class Stranger(Plugin), with Plugin from runner.plugin."),
    ],
)
def test_what_cannot_be_loaded_is_explained(module: str, name: str, said: str) -> None:
    with pytest.raises(PluginLoadError) as refused:
        load_plugin(f"{module}:{name}")
    assert said in str(refused.value)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(
        PluginLoadError, match=r"There is no module nowhere\.at_all\. Run from the directory that holds"
    ):
        load_plugin("nowhere.at_all:Plugin")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_at_all", "needs nowhere_at_all, which is not there. Install nowhere_at_all"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero (broken_"),
        ("def", "cannot be imported: SyntaxError: "),
        ("raise SystemExit(4)", "cannot be imported: SystemExit: 4 (broken_"),
    ],
    ids=["missing library", "error at import", "not Python", "ends the program"],
)
def test_a_module_that_cannot_be_imported_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    name = f"broken_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginLoadError) as refused:
        load_plugin(f"{name}:Anything")
    assert said in str(refused.value)
