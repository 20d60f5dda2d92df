"""``runner work``: processes both queues, without a web server."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.service_options import (
    concurrency_option,
    place_of,
    quiet_option,
    registrations_option,
    remote_settings_with,
    sink,
)


@click.command()
@registrations_option
@concurrency_option
@quiet_option
def work(registrations: Path | None, concurrency: int, quiet: bool) -> None:
    """Run steps for the queued notifications, and apply the queued Stripe events to their rows.

    Any number of workers may share the queues, with and without `runner serve --no-workers` beside them. Ctrl-C ends
    one once what it holds is finished.
    """
    from runner.service.until_stopped import until_stopped
    from runner.service.wiring import opened
    from runner.service.workers import Workers

    settings = remote_settings_with(registrations)
    with opened(settings, sink(quiet)) as service, Workers(service, concurrency=concurrency) as workers:
        click.echo(f"Working for {place_of(settings)} (Ctrl-C ends it).")
        until_stopped(workers.wait)
