"""One serving process: ``runner serve`` runs it, and with ``--reload`` replaces it when files change."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.service_options import place_of, settings_with, sink
from runner.settings import DATAVERSE_HOOK, STRIPE_HOOK

if TYPE_CHECKING:
    from runner.service.wiring import Service
    from runner.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The options of ``runner serve`` that apply once it listens. They can be sent to another process."""

    host: str
    registrations: Path | None
    concurrency: int
    works: bool
    strict: bool
    quiet: bool
    as_json: bool


def serve_on(bound: socket.socket, serving: Serving) -> None:
    """Serve until Ctrl-C or SIGTERM, and finish what is being processed.

    Raises:
      Exception: what :func:`runner.service.wiring.opened` raises.
    """
    from runner.service.stripe_webhooks import simulated_webhooks
    from runner.service.wiring import opened
    from runner.service.workers import Workers
    from runner.tracing.recorder import FanOut
    from runner.web.server import Server, url_of
    from runner.web.serving.app import ServeApp
    from runner.web.serving.metrics import Metrics

    settings, metrics = settings_with(serving.registrations), Metrics()
    watching = FanOut(metrics, sink(serving.quiet or serving.as_json))
    with ExitStack() as closing:
        service = closing.enter_context(opened(settings, watching, strict=serving.strict))
        workers = closing.enter_context(Workers(service, concurrency=serving.concurrency)) if serving.works else None
        app = ServeApp(service, metrics, lambda: workers is None or workers.are_alive)
        closing.callback(app.close)
        url = url_of(bound, serving.host, secure=False)
        stop_sending = closing.enter_context(simulated_webhooks(service, f"{url}{STRIPE_HOOK}"))
        said = json.dumps({"url": url}) if serving.as_json else _welcome(url, serving.host, settings, service)
        Server(app, bound).serve_until_stopped(lambda: click.echo(said), stop_sending)


def _welcome(url: str, host: str, settings: Settings, service: Service) -> str:
    from runner.web.server import is_loopback

    kept = f", kept in {settings.runner_data_dir}" if service.emulator else ""
    lines = [
        f"Listening at {url} (Ctrl-C ends it): Dataverse posts to {DATAVERSE_HOOK}, Stripe to {STRIPE_HOOK}.",
        f"Rows are in {place_of(settings)}{kept}, Stripe is the {service.stripe.title}, "
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
