"""``runner plan``: shows what ``runner apply`` would change in the environment."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.deploying import (
    answer,
    deployment,
    file_argument,
    json_option,
    planned,
    print_notes,
    print_plan,
    to_do,
)

CHANGES = 2


@click.command()
@file_argument
@json_option
def plan(file: Path | None, as_json: bool) -> None:
    """Compare FILE with what is registered in the environment at DATAVERSE_URL, and change nothing.

    FILE is RUNNER_REGISTRATIONS, or registrations.yaml, unless given. Secrets are never shown: only that one is set, or
    changed. Exit code 0 when nothing differs, 2 when something does, 1 when the comparison failed.
    """
    try:
        differs = _plan(file, as_json)
    except Exception as error:
        # A pipeline must not take what went wrong for a difference.
        error.exit_code = 1  # type: ignore[attr-defined]  # read by runner.cli.main
        raise
    if differs:
        click.get_current_context().exit(CHANGES)


def _plan(file: Path | None, as_json: bool) -> bool:
    with deployment(file) as deploying:
        plan = planned(deploying, as_json=as_json)
        if as_json:
            click.echo(answer(deploying, plan))
            return bool(plan)
        print_plan(plan)
        print_notes(deploying.notes)
        place = deploying.site.environment_url
    if not plan:
        click.echo(f"Nothing to do: {place} is as {deploying.file} says.")
        return False
    click.echo(f"{place} differs from {deploying.file}: {to_do(plan)}.")
    if any(change.obsolete for change in plan.changes):
        click.echo("What is to be removed is no longer in the file; runner apply --prune removes it.")
    return True
