"""``runner check``: checks a registrations file by Dataverse's rules, and loads its plug-ins."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.wording import counted

if TYPE_CHECKING:
    from rich.table import Table

    from runner.registrations.load import Examination
    from runner.registrations.model import Registrations, StepRegistration
    from runner.registrations.plugins import PluginConfiguration, PluginLoadError
    from runner.registrations.problems import Finding, Problem
    from runner.registrations.remote import RemoteNote
    from runner.registrations.view import Part, View

_HEADERS = ("Table", "Message", "Stage", "Rank", "Step", "Plug-in")


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file instead.")
def check(file: Path | None, as_json: bool, schema: bool) -> None:
    """Check FILE by Dataverse's rules and import the plug-ins it names.

    FILE is RUNNER_REGISTRATIONS, or registrations.yaml, unless given. Exit code 0 when all is well, 1 when there
    are problems, 2 when there is no such file.
    """
    if schema:
        click.echo(_schema(), nl=False)
        return
    file = file or _configured_file()
    examination = _examine(file)
    if as_json:
        click.echo(_answer(file, examination))
    elif examination.registrations is None:
        _print_problems(file, examination)
    else:
        _print_steps(file, examination.registrations)
    if examination.problems:
        click.get_current_context().exit(1)


def plugin_can_be_loaded(step: Part[StepRegistration], view: View) -> Iterator[Finding]:
    """A rule of this command alone: the step's plug-in class can be imported and instantiated."""
    for problem in _not_loaded(step.value.plugin, step.value.configuration, step.value.secure_configuration):
        yield step.wrong(problem.message, problem.hint, "plugin")


def custom_api_can_be_loaded(view: View) -> Iterator[Finding]:
    """The same for custom APIs that have a plug-in."""
    from runner.registrations.problems import Finding

    for name, api in view.custom_apis.items():
        for problem in _not_loaded(api.plugin, api.configuration, api.secure_configuration) if api.plugin else ():
            yield Finding(path=("custom_apis", name, "plugin"), message=problem.message, hint=problem.hint)


def _not_loaded(
    plugin: str, configuration: PluginConfiguration, secure_configuration: PluginConfiguration
) -> Iterator[PluginLoadError]:
    """Why the plug-in cannot be loaded. With references in its configuration it is only imported, not instantiated."""
    from runner.registrations.plugins import PluginLoadError, load_plugin, plugin_class

    try:
        if _has_references(configuration) or _has_references(secure_configuration):
            plugin_class(plugin)
        else:
            load_plugin(plugin, configuration, secure_configuration)
    except PluginLoadError as error:
        yield error


def _has_references(configuration: object) -> bool:
    from azure_bridge.secrets import references

    return bool(references(str(configuration)))


def _schema() -> str:
    from runner.registrations.schema import rendered

    return rendered()


def _configured_file() -> Path:
    from runner.settings import Settings

    return Settings.load().runner_registrations


def _examine(file: Path) -> Examination:
    from runner.registrations.load import Examination, RegistrationError, examine, read_text
    from runner.registrations.rules import StepRule

    plugins = StepRule(plugin_can_be_loaded, frozenset({"plugin", "configuration", "secure_configuration"}))
    try:
        return examine(read_text(file), str(file), [plugins], [custom_api_can_be_loaded])
    except RegistrationError as error:
        return Examination(None, error.problems)


def _answer(file: Path, examination: Examination) -> str:
    from azure_bridge.redaction import redact

    registrations = examination.registrations
    answer = {
        "file": str(file),
        "ok": registrations is not None,
        "steps": [] if registrations is None else [_step(registrations, step) for step in registrations.steps],
        "problems": [_problem(problem) for problem in examination.problems],
        "notes": [] if registrations is None else [dataclasses.asdict(note) for note in _notes(registrations)],
    }
    return redact(json.dumps(answer, indent=2, ensure_ascii=False))


def _notes(registrations: Registrations) -> list[RemoteNote]:
    """What a remote environment does otherwise, for files that are meant for one."""
    from runner.registrations.remote import remote_notes

    is_remote = registrations.endpoints or any(step.delivery == "inline" for step in registrations.steps)
    return remote_notes(registrations) if is_remote else []


def _problem(problem: Problem) -> dict[str, Any]:
    return {**dataclasses.asdict(problem), "code": problem.dataverse_code or None}


def _step(registrations: Registrations, step: StepRegistration) -> dict[str, Any]:
    return {
        "name": step.name,
        "message": step.message,
        "table": None if step.entity is None else registrations.logical_name(step.entity),
        "stage": step.stage,
        "mode": "async" if step.is_asynchronous else "sync",
        "rank": step.rank,
        "plugin": step.plugin,
        "delivery": step.delivery,
        "enabled": step.enabled,
    }


def _print_problems(file: Path, examination: Examination) -> None:
    from azure_bridge.redaction import redact

    for problem in examination.problems:
        click.echo(redact(str(problem)))
    count = len(examination.problems)
    click.echo(f"{file} has {counted(count, 'problem')}.", err=True)


def _print_steps(file: Path, registrations: Registrations) -> None:
    from rich.console import Console

    terminal = Console()
    steps = sorted((_step(registrations, step) for step in registrations.steps), key=_pipeline_order)
    if terminal.is_terminal:
        terminal.print(_table(steps, stacked=True))
    else:
        # Into a file or a pipe nothing is folded: a line is a step.
        Console(width=240).print(_table(steps, stacked=False))
    for note in _notes(registrations):
        click.echo(f"Note: {note}")
    click.echo(f"OK: {_summary(registrations)} in {file}.")


def _table(steps: Iterable[dict[str, Any]], *, stacked: bool) -> Table:
    """A row each; ``stacked``: the plug-in under the step, where a terminal is seldom wide enough for both."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    headers = _HEADERS[:-1] if stacked else _HEADERS
    table = Table(*headers, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for step in steps:
        *cells, name, plugin = (Text(cell) for cell in _cells(step))
        last = [Text.assemble(name, "\n", (plugin.plain, "dim"), overflow="fold")] if stacked else [name, plugin]
        table.add_row(*cells, *last, style=None if step["enabled"] else "dim")
    return table


def _cells(step: dict[str, Any]) -> tuple[str, ...]:
    """Under each of the headers."""
    stage = f"{step['stage']} async" if step["mode"] == "async" else str(step["stage"])
    name = step["name"] if step["enabled"] else f"{step['name']} (disabled)"
    return step["table"] or "any", step["message"], stage, str(step["rank"]), name, step["plugin"]


def _pipeline_order(step: dict[str, Any]) -> tuple[Any, ...]:
    return step["table"] or "", step["message"], step["stage"], step["mode"] == "async", step["rank"], step["name"]


def _summary(registrations: Registrations) -> str:
    parts = [counted(len(registrations.steps), "step")]
    if registrations.custom_apis:
        parts.append(counted(len(registrations.custom_apis), "custom API"))
    if registrations.tables:
        parts.append(f"{counted(len(registrations.tables), 'table')} of your own")
    bridge = registrations.bridge
    if bridge is not None:
        parts.append(f"{counted(len(bridge.events), 'Stripe event')} for {counted(len(bridge.tables), 'table')}")
    return ", ".join(parts)
