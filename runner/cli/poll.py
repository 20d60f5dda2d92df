"""``runner poll``: finds changes by change tracking, instead of notifications or after a time without them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from runner.cli.service_options import place_of, registrations_option, remote_settings_with


@click.command()
@registrations_option
@click.option("--table", "tables", multiple=True, metavar="NAME", help="A table to poll. [default: those of the steps]")
@click.option("--once", is_flag=True, help="Poll once and end: to catch up after a time without notifications.")
@click.option(
    "--every", type=click.FloatRange(1), default=60, show_default=True, metavar="SECONDS", help="How often to poll."
)
@click.option(
    "--from-beginning", is_flag=True, help="The first time, report all rows as created. [default: only remember them]"
)
@click.option("--json", "as_json", is_flag=True, help="With --once, print the counts as one line of JSON.")
def poll(
    registrations: Path | None, tables: tuple[str, ...], once: bool, every: float, from_beginning: bool, as_json: bool
) -> None:
    """Poll Dataverse for changes, and queue them as if Dataverse had sent notifications.

    What was read so far is kept in RUNNER_DATA_DIR. `runner serve` or `runner work` handles what is queued.

    \b
    Try:
      runner poll --once
    """
    if as_json and not once:
        raise click.UsageError("--json tells the counts of one poll: add --once.")
    from runner.service.polling import polling
    from runner.service.until_stopped import until_stopped
    from runner.service.wiring import opened
    from runner.tracing.recorder import Silence

    settings = remote_settings_with(registrations)
    with opened(settings, Silence()) as service, polling(service, settings, tables) as looking:
        if once:
            found = looking.once(from_beginning=from_beginning)
            click.echo(json.dumps(found) if as_json else _lines(found))
            return
        click.echo(f"Polling {', '.join(looking.tables)} of {place_of(settings)} every {every:g} s (Ctrl-C ends it).")
        until_stopped(lambda: looking.forever(every, from_beginning=from_beginning))


def _lines(found: dict[str, int]) -> str:
    return "\n".join(f"{table}: {count} put on the queue" for table, count in found.items())
