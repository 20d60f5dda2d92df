"""Imports the plug-in class that a registration names, and makes the instance that serves all executions."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from runner.plugin import Plugin
from runner.registrations.problems import did_you_mean

PluginConfiguration: TypeAlias = Mapping[str, Any] | str | None


class PluginLoadError(Exception):
    """A plug-in cannot be loaded. ``message`` says what is wrong, ``hint`` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message, self.hint = message, hint


def load_plugin(
    name: str, configuration: PluginConfiguration = None, secure_configuration: PluginConfiguration = None
) -> Plugin:
    """An instance of ``module:Class``, given as many configurations as its ``__init__`` takes.

    Modules are looked for in the working directory first, so that a project's own plug-ins are found.

    Raises:
      PluginLoadError: there is no such module or class, it is no plug-in, or its constructor raised.
    Source: https://learn.microsoft.com/power-apps/developer/data-platform/write-plug-in#pass-configuration-data
    """
    cls = plugin_class(name)
    given = (configuration, secure_configuration)[: _constructor_arguments(cls)]
    try:
        plugin = cls(*given)  # type: ignore[arg-type]  # a plug-in configured by text declares text
    except (Exception, SystemExit) as error:
        raise PluginLoadError(f"{name} could not be made: {_reason(error)}.", "Look at its __init__.") from error
    return plugin


def plugin_class(name: str) -> type[Plugin]:
    """The class ``module:Class`` names.

    Raises:
      PluginLoadError: there is no such module or class, or it is no plug-in that can run.
    """
    module_name, _, class_name = name.partition(":")
    module = _import(module_name)
    found = getattr(module, class_name, None)
    if found is None:
        raise PluginLoadError(f"Module {module_name} has no class {class_name}.", _known_plugins(class_name, module))
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        hint = f"Write: class {class_name}(Plugin), with Plugin from runner.plugin."
        raise PluginLoadError(f"{name} is not a plug-in.", hint)
    if inspect.isabstract(found):
        raise PluginLoadError(f"{name} has no execute method.", "Write: def execute(self, context: PluginContext).")
    return found


def source_directories(names: Iterable[str]) -> set[Path]:
    """Where the code of plug-ins called ``module:Class`` is: the directories of their top-level packages, and below.

    Nothing is imported. A module that is not there is in no directory.
    """
    _put_working_directory_first()
    importlib.invalidate_caches()
    found: set[Path] = set()
    for package in {name.partition(":")[0].partition(".")[0] for name in names}:
        spec = find_spec(package)
        if spec is None:
            continue
        for place in spec.submodule_search_locations or ():
            found.update(path for path in (Path(place), *Path(place).rglob("*/")) if path.name != "__pycache__")
        if spec.origin is not None:
            found.add(Path(spec.origin).parent)
    return found


def _import(module_name: str) -> ModuleType:
    _put_working_directory_first()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            hint = f"Install {error.name}, or correct the import."
            raise PluginLoadError(f"Module {module_name} needs {error.name}, which is not there.", hint) from error
        hint = f"Run from the directory that holds {module_name.replace('.', '/')}.py, or correct the name."
        raise PluginLoadError(f"There is no module {module_name}{_where_looked(module_name)}.", hint) from error
    except (Exception, SystemExit) as error:
        raise PluginLoadError(f"Module {module_name} cannot be imported: {_reason(error)}.") from error


def _where_looked(module_name: str) -> str:
    """Which package of that name Python has, when there is one: it may be another than the one meant."""
    package, dot, _ = module_name.partition(".")
    places = getattr(sys.modules.get(package), "__path__", ())
    return f" in {next(iter(places))}" if dot and places else ""


def _put_working_directory_first() -> None:
    """A console script has its own directory on the path, not the one it is run in."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _known_plugins(class_name: str, module: ModuleType) -> str:
    plugins = [name for name, value in vars(module).items() if inspect.isclass(value) and issubclass(value, Plugin)]
    known = [name for name in plugins if name != Plugin.__name__]
    return did_you_mean(class_name, known) if known else "It holds no plug-ins."


def _constructor_arguments(cls: type[Plugin]) -> int:
    """How many positional arguments ``cls(...)`` takes, two at most."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return 2
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return min(len(positional) - 1, 2)  # self is one of them


def _reason(error: BaseException) -> str:
    """An error in one line, with the line of code it came from."""
    if isinstance(error, SyntaxError) and error.filename:  # which says itself where it is
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}:{error.lineno})"
    frame = inspect.getinnerframes(error.__traceback__)[-1] if error.__traceback__ else None
    where = f" ({Path(frame.filename).name}:{frame.lineno})" if frame else ""
    return f"{type(error).__name__}: {error}{where}".replace("\n", " ")
