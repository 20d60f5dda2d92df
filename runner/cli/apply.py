"""``runner apply``: registers the endpoints, steps and images of registrations.yaml in an environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.deploying import (
    Deployment,
    answer,
    counts,
    deployment,
    file_argument,
    json_option,
    planned,
    print_notes,
    print_plan,
)

if TYPE_CHECKING:
    from runner.registrations.deploy.plan import Plan


@click.command()
@file_argument
@click.option("--prune", is_flag=True, help="Remove endpoints and steps of this product that the file no longer has.")
@click.option("--schema", is_flag=True, help="First make the Payment table and the payment columns that are missing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def apply(file: Path | None, prune: bool, schema: bool, yes: bool, as_json: bool) -> None:
    """Register FILE's endpoints, steps and images in the environment at DATAVERSE_URL.

    FILE is RUNNER_REGISTRATIONS, or registrations.yaml, unless given. Changes are shown first, and made in one change
    set: all or none of them. Running it again does what is left to do.
    """
    if as_json and not yes:
        raise click.UsageError("--json cannot ask whether to go on: add --yes.")
    with deployment(file) as deploying:
        added = _add_schema(deploying, ask=not yes, quiet=as_json) if schema else []
        plan = planned(deploying, as_json=as_json)
        wanted = plan if prune else plan.without_removals()
        if as_json:
            _make(deploying, wanted, quiet=True)
            click.echo(answer(deploying, wanted, applied=True, schema=added))
            return
        _apply(deploying, wanted, yes)
        left = len(plan.changes) - len(wanted.changes)
    if left:
        click.echo(f"{left} no longer in the file and left where they are; --prune removes them.")


def _apply(deploying: Deployment, plan: Plan, yes: bool) -> None:
    place = deploying.site.environment_url
    if not plan:
        click.echo(f"Nothing to do: {place} is as {deploying.file} says.")
        return
    print_plan(plan)
    print_notes(deploying.notes)
    if not yes:
        _ask(f"Make these changes in {place}?")
    _make(deploying, plan, quiet=False)
    click.echo(f"Done: {counts(plan)} in {place}.")


def _ask(question: str) -> None:
    try:
        click.confirm(question, abort=True)
    except click.Abort:
        click.echo(err=True)
        raise click.ClickException("Nothing was changed. Where nobody can answer, add --yes.") from None


def _add_schema(deploying: Deployment, *, ask: bool, quiet: bool) -> list[str]:
    """Make what is missing of the product's tables; answers what that was."""
    from runner.emulator.metadata.load import describe
    from runner.registrations.deploy.schema import PRODUCT_TABLES, Addition, add, missing

    additions = missing(deploying.client, [describe(name) for name in PRODUCT_TABLES])
    names = [f"{each.kind} {each.name}" for each in additions]

    def progress(made: Addition) -> None:
        if not quiet:
            click.secho(f"+ {made.kind} {made.name}", fg="green")

    if additions and ask:
        click.echo("Missing: " + ", ".join(names) + ".")
        _ask(f"Make them in {deploying.site.environment_url}?")
    add(deploying.client, additions, progress)
    return names


def _make(deploying: Deployment, plan: Plan, *, quiet: bool) -> None:
    from runner.registrations.deploy.apply import apply_plan

    def progress(done: int, total: int) -> None:
        if not quiet and done < total:
            click.echo(f"{done} of {total} changes made.", err=True)

    apply_plan(deploying.client, plan, progress)
