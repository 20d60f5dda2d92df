"""``runner reconcile``: compares Stripe with CRM, and repairs what differs."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from runner.cli.service_options import registrations_option, settings_with


def _since(_: click.Context, option: click.Parameter, value: str) -> datetime:
    """``90m``, ``12h``, ``7d``, or an ISO 8601 time, in UTC unless it says otherwise."""
    from runner.settings import age

    now = datetime.now(UTC)
    with suppress(ValueError):
        return now - age(value)
    try:
        since = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time: write 12h, 7d or 2026-11-22T18:00.", param=option) from None
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    if since >= now:
        raise click.BadParameter(f"{value} is still to come.", param=option)
    return since.astimezone(UTC)


@click.command()
@click.option(
    "--since",
    default="1d",
    show_default=True,
    callback=_since,
    metavar="AGE|TIME",
    help="Compare what was created or changed since: 12h, 7d or 2026-11-22T18:00.",
)
@click.option("--undelivered", is_flag=True, help="Only the events that Stripe could not deliver.")
@click.option("--fix", is_flag=True, help="Repair what can be repaired.")
@click.option("--cancel-orphans", is_flag=True, help="With --fix, cancel open intents that belong to no row.")
@click.option("--yes", is_flag=True, help="Cancel them without asking.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run, with its --since.")
@registrations_option
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per difference, and one for the totals.")
def reconcile(
    since: datetime,
    undelivered: bool,
    fix: bool,
    cancel_orphans: bool,
    yes: bool,
    resume: bool,
    registrations: Path | None,
    as_json: bool,
) -> None:
    """Compare Stripe's events and intents with CRM's rows, and repair what differs.

    Exit code 0 when nothing differs or --fix repaired all of it, 1 when something differs or the run was interrupted,
    2 when an option or setting is wrong.

    \b
    Try:
      runner reconcile --since 7d
      runner reconcile --since 1d --fix --json
      runner reconcile --undelivered --fix
    """
    if cancel_orphans and not fix:
        raise click.UsageError("--cancel-orphans only means something with --fix.")
    if cancel_orphans and not yes:
        click.confirm("Cancel every open intent whose row is gone, or stands for another intent?", abort=True, err=True)
    from runner.cli.reconciling import perform
    from runner.service.reconciling import Request

    request = Request(since=since, undelivered=undelivered, fix=fix, cancel_orphans=cancel_orphans, resume=resume)
    left = perform(request, settings_with(registrations), as_json=as_json)
    click.get_current_context().exit(1 if left else 0)
