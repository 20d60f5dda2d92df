"""Hosts an emulator with its web site, and shuts both down in order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stripe
from starlette.applications import Starlette
from starlette.routing import Route

from azure_bridge.clock import SystemClock
from azure_bridge.queues import open_queue
from azure_bridge.queues.contract import MessageQueue
from azure_bridge.secrets import Secrets
from runner.emulator.emulator import Emulator
from runner.emulator.jobs.job import BACK_OFF
from runner.emulator.metadata.described import metadata_for
from runner.emulator.notifications.notification import SenderFactory
from runner.emulator.webapi import WebApi
from runner.execution.step import StepError
from runner.settings import Settings, environment
from runner.simulation.stripe_side import ApiSide, SimulatorSide
from runner.tracing.model import TraceSink
from runner.tracing.recorder import Silence
from runner.web.dataverse.app import MAX_BODY, DataverseApp
from runner.web.dataverse.application_users import ApplicationUsers
from runner.web.dataverse.authentication import Doorkeeper
from runner.web.dataverse.entra import Entra
from runner.web.dataverse.service_protection import Limits, ServiceProtection
from runner.web.dataverse.start_page import Facts, StartPage
from runner.web.dataverse.tokens import TokenIssuer

if TYPE_CHECKING:
    from runner.registrations.model import Registrations
    from runner.web.certificate import Certificate

DATABASE_FILE = "dataverse.db"
TLS_DIRECTORY = "tls"


class HostingError(Exception):
    """What was asked for cannot be served. The message says what to change."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosting:
    """What to serve. ``registrations`` None is no plug-ins; ``data`` None keeps rows until the end, and no longer."""

    registrations: Path | None = None
    data: Path | None = None
    host: str = "127.0.0.1"
    tls: bool = False
    limits: Limits | None = None
    require_token: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """An emulator and the application that serves it."""

    emulator: Emulator
    app: DataverseApp
    certificate: Certificate | None
    stripe: str


@contextmanager
def hosted(hosting: Hosting, sink: TraceSink | None = None) -> Iterator[Site]:
    """A site that answers; at the end it finishes its requests and its asynchronous jobs.

    Raises:
      HostingError, RegistrationError, PluginLoadError, SettingsError: the plug-ins cannot run.
    """
    settings = Settings.load()
    side = _stripe_side(settings, sink or Silence())
    with ExitStack() as cleanup:
        certificate = _certificate(hosting, cleanup) if hosting.tls else None
        senders = _senders(settings, hosting.data, cleanup.enter_context(ExitStack()))
        services: dict[type, Any] = {stripe.StripeClient: side.client}
        registrations = None if hosting.registrations is None else _load(hosting.registrations)
        emulator = Emulator(
            metadata=None if registrations is None else metadata_for(registrations),
            database=_database(hosting.data, cleanup),
            durable=hosting.data is not None,
            services=services,
            sink=sink,
            service_bus_senders=senders,
            back_off=BACK_OFF,
        )
        # Read from below: requests first, then the jobs they left.
        cleanup.callback(emulator.close)
        cleanup.callback(emulator.run_jobs)
        cleanup.callback(emulator.stop_worker)
        if registrations is not None:
            _register(emulator, registrations, hosting.registrations)
        app = application(emulator, Facts(side.title, certificate, hosting.require_token), limits=hosting.limits)
        cleanup.callback(app.close)
        emulator.start_worker()
        yield Site(emulator, app, certificate, side.title)


def application(
    emulator: Emulator, facts: Facts, *, limits: Limits | None = None, max_body: int = MAX_BODY
) -> DataverseApp:
    """The whole web site of an emulator. ``max_body`` is in bytes."""
    tokens = TokenIssuer(emulator.clock)
    routes = [Route("/", StartPage(emulator, facts).answer), *Entra(ApplicationUsers(emulator), tokens).routes()]
    return DataverseApp(
        WebApi(emulator),
        Doorkeeper(tokens, require_token=facts.require_token),
        Starlette(routes=routes),
        protection=None if limits is None else ServiceProtection(limits, emulator.clock),
        max_body=max_body,
    )


def _stripe_side(settings: Settings, sink: TraceSink) -> SimulatorSide | ApiSide:
    """The simulator, unless the environment names Stripe's test mode or another server."""
    key, api_base, clock = settings.stripe_secret_key, settings.stripe_api_base, SystemClock()
    if not key and not api_base:
        return SimulatorSide(clock, sink)
    return ApiSide(key or "sk_test_local", api_base, clock, sink)


def _senders(settings: Settings, data: Path | None, opened: ExitStack) -> SenderFactory:
    """Messages of a Service Bus endpoint go to the queue of its name, opened when the first one is sent."""

    @cache
    def queue(name: str) -> MessageQueue:
        queue = open_queue(
            name,
            directory=data or settings.runner_data_dir,
            connection_string=settings.servicebus_connection_string,
            namespace=settings.servicebus_namespace,
        )
        opened.callback(queue.close)
        return queue

    return lambda endpoint: queue(endpoint.path)


def _register(emulator: Emulator, registrations: Registrations, file: Path | None) -> None:
    try:
        emulator.register_from(registrations, Secrets.from_environment(environment()))
    except StepError as error:
        raise HostingError(f"{file}: {error}") from error


def _load(file: Path) -> Registrations:
    # pydantic, which serving without plug-ins need not wait for
    from runner.registrations.load import UnreadableRegistrationsError, load

    try:
        return load(file)
    except UnreadableRegistrationsError as error:
        raise HostingError(f"{error} Or serve without plug-ins: --no-registrations") from error


def _database(data: Path | None, cleanup: ExitStack) -> Path:
    """A file in any case: rows in memory could not be read beside a transaction that waits for an endpoint."""
    if data is None:
        return _temporary_directory("runner-emulate-", cleanup) / DATABASE_FILE
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostingError(f"--data {data}: {error.strerror}. Give a directory that can be written to.") from error
    return data / DATABASE_FILE


def _certificate(hosting: Hosting, cleanup: ExitStack) -> Certificate:
    from runner.web.certificate import certificate_in  # cryptography, which http need not wait for

    if hosting.data is not None:
        directory = hosting.data / TLS_DIRECTORY
    else:
        directory = _temporary_directory("runner-tls-", cleanup)
    return certificate_in(directory, SystemClock(), hosting.host)


def _temporary_directory(prefix: str, cleanup: ExitStack) -> Path:
    return Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
