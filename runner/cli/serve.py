"""``runner serve``: receives what Dataverse and Stripe send, and does what it calls for."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.service_options import (
    concurrency_option,
    place_of,
    quiet_option,
    registrations_option,
    settings_with,
    sink,
)

if TYPE_CHECKING:
    from runner.service.wiring import Service
    from runner.settings import Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 is any free one.")
@registrations_option
@concurrency_option
@click.option("--no-workers", is_flag=True, help="Only receive: `runner work` does the rest.")
@click.option(
    "--strict", is_flag=True, help="Refuse notifications no step is registered for, instead of ignoring them."
)
@quiet_option
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one line of JSON, and nothing else.")
def serve(
    host: str,
    port: int,
    registrations: Path | None,
    concurrency: int,
    no_workers: bool,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Receive Dataverse's notifications and Stripe's events, and run the steps and the bridge on them.

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
    from runner.service.stripe_webhooks import simulated_webhooks
    from runner.service.wiring import opened
    from runner.service.workers import Workers
    from runner.tracing.recorder import FanOut
    from runner.web.server import Server, listen, url_of
    from runner.web.serving.app import STRIPE_HOOK, ServeApp
    from runner.web.serving.metrics import Metrics

    settings, metrics = settings_with(registrations), Metrics()
    watching = FanOut(metrics, sink(quiet or as_json))
    with listen(host, port) as bound, ExitStack() as closing:
        service = closing.enter_context(opened(settings, watching, strict=strict))
        metrics.watch((service.events, service.payments))
        workers = None if no_workers else closing.enter_context(Workers(service, concurrency=concurrency))
        app = ServeApp(service, metrics, lambda: workers is None or workers.are_alive)
        closing.callback(app.close)
        url = url_of(bound, host, secure=False)
        stop_sending = closing.enter_context(simulated_webhooks(service, f"{url}{STRIPE_HOOK}"))
        said = json.dumps({"url": url}) if as_json else _welcome(url, host, settings, service)
        Server(app, bound).serve_until_stopped(lambda: click.echo(said), stop_sending)


def _welcome(url: str, host: str, settings: Settings, service: Service) -> str:
    from runner.web.server import is_loopback

    lines = [
        f"Listening at {url} (Ctrl-C ends it): Dataverse posts to /dataverse/webhook, Stripe to /stripe/webhook.",
        f"Rows are in {place_of(settings)}, Stripe is the {service.stripe.title}, "
        f"plug-ins are those of {settings.runner_registrations}.",
    ]
    if service.emulator is not None:
        lines.append(f"Dataverse's Web API is at {url}/api/data/v9.2/.")
    if (simulator := service.stripe.simulator) is not None:
        lines.append(f"Stripe's API is at {url}/v1/, with the key {simulator.api_key}.")
    if not service.credentials and not is_loopback(host):
        lines.append(
            "Warning: no DATAVERSE_WEBHOOK_KEY is set, so notifications from other machines are refused. Set the key "
            "that Dataverse is to send."
        )
    return "\n".join(lines)
