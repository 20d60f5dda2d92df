"""``runner serve``: receives the webhooks of Dataverse and Stripe, and processes them."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.service_options import concurrency_option, quiet_option, registrations_option, settings_with
from runner.cli.serving import Serving, serve_on


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes any free port.")
@registrations_option
@concurrency_option
@click.option("--no-workers", is_flag=True, help="Only receive; leave the processing to `runner work`.")
@click.option(
    "--strict", is_flag=True, help="Refuse notifications that no step is registered for, instead of ignoring them."
)
@click.option("--reload", is_flag=True, help="Restart when plug-ins, registrations or .env change.")
@quiet_option
@click.option("--json", "as_json", is_flag=True, help="Print only its address, as one line of JSON.")
def serve(
    host: str,
    port: int,
    registrations: Path | None,
    concurrency: int,
    no_workers: bool,
    strict: bool,
    reload: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Receive Dataverse's notifications and Stripe's events, run the steps, and update the rows.

    Dataverse posts to /dataverse/webhook, Stripe to /stripe/webhook. With nothing configured Dataverse is embedded,
    at /api/data/v9.2/, and Stripe is a simulator, at /v1/. Ctrl-C ends it once what it holds is finished.

    \b
    Try, with the intent's id of the first answer in the second request:
      runner serve
      curl http://127.0.0.1:8080/api/data/v9.2/new_payments -H 'Content-Type: application/json' \\
        -H 'Prefer: return=representation' -d '{"new_name": "Invoice 7", "new_amount": 19.99}'
      curl http://127.0.0.1:8080/v1/payment_intents/pi_.../confirm -u sk_test_simulator: \\
        -d payment_method=pm_card_visa -d return_url=https://example.com/
    """
    from runner.web.server import listen

    serving = Serving(
        host=host,
        registrations=registrations,
        concurrency=concurrency,
        works=not no_workers,
        strict=strict,
        quiet=quiet,
        as_json=as_json,
    )
    with listen(host, port) as bound:
        if reload:
            from runner.cli.reloading import serve_reloading

            serve_reloading(bound, serving, settings_with(registrations).runner_registrations)
        else:
            serve_on(bound, serving)
