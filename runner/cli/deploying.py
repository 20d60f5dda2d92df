"""What ``plan`` and ``apply`` share: reading the file, connecting to the environment, and printing a plan."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from azure_bridge.secrets import Secrets
    from dataverse_client.client import DataverseClient
    from runner.registrations.deploy.endpoints import Site
    from runner.registrations.deploy.plan import Change, ColumnChange, Plan
    from runner.registrations.model import Registrations
    from runner.registrations.remote import RemoteNote
    from runner.settings import Settings

file_argument = click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")

_VERBS = {"created": "create", "changed": "change", "removed": "remove"}
_SIGNS = {"created": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A file and the environment it is for. ``site`` is where the runner is reached."""

    file: Path
    registrations: Registrations
    client: DataverseClient
    site: Site
    secrets: Secrets

    @property
    def notes(self) -> list[RemoteNote]:
        from runner.registrations.remote import remote_notes

        return remote_notes(self.registrations)

    def plan(self) -> Plan:
        """Raises UndeployableError, SecretError, DataverseError."""
        from runner.registrations.deploy.plan import make_plan

        return make_plan(self.registrations, self.client, self.site, self.secrets)


@contextmanager
def deployment(file: Path | None) -> Iterator[Deployment]:
    """The deployment of ``file``, or of the file the settings name, to the environment the settings name.

    Raises:
      SettingsError, RegistrationError: the settings or the file cannot be used.
    """
    from runner.connection import connect
    from runner.registrations.load import load
    from runner.settings import Settings

    settings = Settings.load()
    file = file or settings.runner_registrations
    registrations = load(file)
    with connect(settings) as client:
        secrets = settings.secrets()
        yield Deployment(file, registrations, client, _site(settings, secrets), secrets)


def _site(settings: Settings, secrets: Secrets) -> Site:
    from runner.registrations.deploy.endpoints import Site

    key = secrets.resolve(settings.dataverse_webhook_key[0]) if settings.dataverse_webhook_key else None
    return Site(settings.runner_public_url, key, settings.dataverse_url or "")


def planned(deployment: Deployment, *, as_json: bool) -> Plan:
    """The plan. When none can be made, ``as_json`` prints the problems and ends the command with exit code 1."""
    from runner.registrations.deploy.problems import UndeployableError

    try:
        return deployment.plan()
    except UndeployableError as error:
        if not as_json:
            raise
        said = {"file": str(deployment.file), "problems": list(error.problems)}
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
        raise click.exceptions.Exit(1) from error


def answer(deployment: Deployment, plan: Plan, **more: Any) -> str:
    """A plan as JSON; ``more`` are further members."""
    said = {
        "environment": deployment.site.environment_url,
        "file": str(deployment.file),
        "changes": [_change(change) for change in plan.changes],
        "problems": [],
        "notes": [dataclasses.asdict(note) for note in deployment.notes],
        **more,
    }
    return json.dumps(said, indent=2, ensure_ascii=False)


def _change(change: Change) -> dict[str, Any]:
    return {
        "change": change.kind.value,
        "table": change.row.table,
        "id": change.row.id,
        "name": change.row.name,
        "obsolete": change.obsolete,
        "columns": [dataclasses.asdict(column) for column in change.columns],
    }


def print_plan(plan: Plan) -> None:
    """Print a plan for people: a line per row, and below it a line per column."""
    for change in plan.changes:
        sign, color = _SIGNS[change.kind.value]
        click.secho(f"{sign} {change.row.table} {change.row.name}", fg=color)
        for column in change.columns:
            click.echo(f"    {_line(column)}")


def print_notes(notes: list[RemoteNote]) -> None:
    """Print the notes on standard error."""
    for note in notes:
        click.echo(f"Note: {note}", err=True)


def _line(column: ColumnChange) -> str:
    if column.before is None:
        return f"{column.column}: {column.after}"
    return f"{column.column}: {column.before} -> {column.after if column.after is not None else '(none)'}"


def counts(plan: Plan) -> str:
    """``2 created, 1 changed, 0 removed``."""
    from runner.registrations.deploy.plan import Kind

    return ", ".join(f"{plan.count(kind)} {kind.value}" for kind in Kind)


def to_do(plan: Plan) -> str:
    """``2 to create, 1 to change, 0 to remove``."""
    from runner.registrations.deploy.plan import Kind

    return ", ".join(f"{plan.count(kind)} to {_VERBS[kind.value]}" for kind in Kind)
