"""``runner listen``: processes what a service endpoint of Dataverse puts on a Service Bus queue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from runner.cli.service_options import (
    concurrency_option,
    quiet_option,
    registrations_option,
    remote_settings_with,
    sink,
)


@click.command()
@click.option("--queue", "queue_name", metavar="NAME", help="The queue. [default: DATAVERSE_EVENTS_QUEUE]")
@registrations_option
@concurrency_option
@quiet_option
def listen(queue_name: str | None, registrations: Path | None, concurrency: int, quiet: bool) -> None:
    """Run steps for the notifications that Dataverse itself sends to a Service Bus queue.

    The service endpoint must send JSON. When Dataverse had to trim a notification, the missing parts are read from the
    row. Ctrl-C ends the command once running steps are finished.
    """
    from runner.service.until_stopped import until_stopped
    from runner.service.wiring import opened
    from runner.service.workers import Workers

    settings = remote_settings_with(registrations)
    if queue_name:
        settings = replace(settings, dataverse_events_queue=queue_name)
    with opened(settings, sink(quiet)) as service, Workers(service, concurrency=concurrency, payments=False) as workers:
        click.echo(f"Listening to queue {service.events.name} (Ctrl-C ends it).")
        until_stopped(workers.wait)
