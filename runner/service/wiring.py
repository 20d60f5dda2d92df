"""Sets up the parts of a process from the settings: CRM, Stripe, the two queues, and what connects them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stripe

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.processor import PaymentProcessor
from azure_bridge.queues import open_queue
from azure_bridge.queues.contract import MessageQueue
from azure_bridge.receiver import StripeReceiver
from azure_bridge.secrets import Secrets
from azure_bridge.tables import BridgeConfiguration
from runner.connection import connect
from runner.emulator.adapter import client_of
from runner.emulator.emulator import Emulator
from runner.emulator.jobs.job import BACK_OFF
from runner.emulator.metadata.described import metadata_for
from runner.execution.services import Services
from runner.intake.credentials import Credentials
from runner.intake.deferred import DeferredSteps
from runner.intake.directory import StepDirectory
from runner.intake.dispatcher import Dispatcher
from runner.intake.inline import InlineSteps
from runner.intake.notification_trace import NotificationTrace
from runner.intake.rows import Rows
from runner.intake.step_runner import Resources, StepRunner
from runner.intake.webhook import WebhookIntake
from runner.registrations.load import load
from runner.registrations.model import Registrations
from runner.service.stripe_access import StripeAccess, stripe_access
from runner.settings import Settings, SettingsError
from runner.tracing.bridge import TracingObserver
from runner.tracing.model import TraceSink

CRM_FILE = "dataverse.db"
STRIPE_FILE = "stripe.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """``emulator`` None: Dataverse is elsewhere. ``receiver`` and ``processor`` None: the file has no bridge."""

    resources: Resources
    stripe: StripeAccess
    registrations: Registrations
    directory: StepDirectory
    events: MessageQueue
    payments: MessageQueue
    intake: WebhookIntake
    credentials: Credentials
    dispatcher: Dispatcher
    observer: TracingObserver
    receiver: StripeReceiver | None
    processor: PaymentProcessor | None
    emulator: Emulator | None


@contextmanager
def opened(
    settings: Settings, sink: TraceSink, *, strict: bool = False, clock: Clock | None = None
) -> Iterator[Service]:
    """The parts, until the block ends. ``strict``: notifications no step is registered for are refused.

    Raises:
      SettingsError, RegistrationError, PluginLoadError, SecretError: what is configured cannot run.
      AccountFileError: another process has the embedded Dataverse and the simulator of this data directory.
      QueueUnavailableError: the embedded queue's file cannot be used.
    """
    clock = clock or SystemClock()
    registrations, secrets = load(settings.runner_registrations), settings.secrets(clock)
    directory = StepDirectory.of(registrations, secrets)
    is_embedded = settings.dataverse_url is None
    # Rows and their intents are kept together, or the one would name what the other has forgotten.
    file = made_directory(settings) / STRIPE_FILE if is_embedded else None
    access = stripe_access(settings, secrets, clock, sink, file=file)
    services: dict[type, Any] = {stripe.StripeClient: access.client}
    with ExitStack() as closing:
        closing.callback(access.close)
        emulator = None
        if is_embedded:
            emulator = closing.enter_context(_emulator(settings, registrations, secrets, services, clock, sink))
        client = closing.enter_context(connect(settings) if emulator is None else client_of(emulator))
        resources = Resources(client, Services(services), clock, sink)
        events = _queue(settings, settings.dataverse_events_queue, clock, closing)
        payments = _queue(settings, settings.payment_events_queue, clock, closing)
        inline, deferred = _steps(resources, events)
        observer = TracingObserver(sink, clock)
        bridge = _bridge(settings, registrations, secrets)
        yield Service(
            resources=resources,
            stripe=access,
            registrations=registrations,
            directory=directory,
            events=events,
            payments=payments,
            intake=WebhookIntake(directory, inline, events, NotificationTrace(sink, clock), strict=strict),
            credentials=Credentials.of(settings.dataverse_webhook_key, registrations, secrets),
            dispatcher=Dispatcher(directory, deferred, inline, events, resources),
            observer=observer,
            receiver=None if bridge is None else _receiver(bridge, access, observer, clock),
            processor=None if bridge is None else PaymentProcessor(client, bridge, observer=observer, clock=clock),
            emulator=emulator,
        )


def _steps(resources: Resources, events: MessageQueue) -> tuple[InlineSteps, DeferredSteps]:
    runner, rows = StepRunner(resources), Rows(resources)
    deferred = DeferredSteps(runner, rows)
    return InlineSteps(runner, rows, deferred, events), deferred


def _bridge(settings: Settings, registrations: Registrations, secrets: Secrets) -> BridgeConfiguration | None:
    if registrations.bridge is None:
        return None
    return registrations.to_bridge_configuration(secrets, livemode=settings.stripe_live)


def _receiver(
    bridge: BridgeConfiguration, access: StripeAccess, observer: TracingObserver, clock: Clock
) -> StripeReceiver:
    signing = access.webhook_secrets
    return StripeReceiver(bridge, signing, clock=clock, observer=observer, renew_secrets=signing.renew)


def _queue(settings: Settings, name: str, clock: Clock, closing: ExitStack) -> MessageQueue:
    queue = open_queue(
        name,
        directory=made_directory(settings),
        connection_string=settings.servicebus_connection_string,
        namespace=settings.servicebus_namespace,
        clock=clock,
    )
    closing.callback(queue.close)
    return queue


def made_directory(settings: Settings) -> Path:
    """The data directory. Raises SettingsError when it cannot be made."""
    try:
        settings.runner_data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"RUNNER_DATA_DIR {settings.runner_data_dir}: {error.strerror}. Give one that can be written to."
        ) from error
    return settings.runner_data_dir


@contextmanager
def _emulator(
    settings: Settings,
    registrations: Registrations,
    secrets: Secrets,
    services: dict[type, Any],
    clock: Clock,
    sink: TraceSink,
) -> Iterator[Emulator]:
    """The embedded Dataverse, whose pipeline runs the steps itself."""
    database = made_directory(settings) / CRM_FILE
    with Emulator(
        database=database,
        metadata=metadata_for(registrations),
        clock=clock,
        services=services,
        sink=sink,
        back_off=BACK_OFF,
    ) as emulator:
        emulator.register_from(registrations, secrets)
        emulator.start_worker()
        try:
            yield emulator
        finally:
            emulator.stop_worker()
            emulator.run_jobs()
