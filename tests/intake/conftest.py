"""A Dataverse that is elsewhere: it runs none of the steps, and tells of what happens in it by notifications."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import stripe
from small_plugins import Tell

from azure_bridge.clock import ManualClock
from azure_bridge.queues.contract import MessageQueue
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.secrets import Secrets
from azure_bridge.settlement import RetryPolicy, settle
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.retry import RetrySettings
from dataverse_client.types import Entity, EntityReference, Money
from runner.emulator.adapter import EmbeddedAdapter
from runner.emulator.emulator import Emulator
from runner.emulator.seed import currency_id
from runner.emulator.webapi import WebApi
from runner.execution.services import Services
from runner.execution.step import Image, Step
from runner.intake.deferred import DeferredSteps
from runner.intake.directory import RemoteStep, StepDirectory
from runner.intake.dispatcher import Dispatcher
from runner.intake.inline import InlineSteps
from runner.intake.messages import notification_messages
from runner.intake.rows import Rows
from runner.intake.step_runner import Resources, StepRunner
from runner.registrations.load import load
from runner.remote_context.context import RemoteContext
from runner.stripe_simulator import StripeSimulator
from runner.tracing.model import NotificationTraced
from runner.tracing.recorder import Recorder

REGISTRATIONS = Path(__file__).parents[2] / "registrations.yaml"
URL = "http://elsewhere.dataverse.local"


def telling_steps(mailbox: list[bytes]) -> list[Step]:
    """As somebody registers them by hand: one asynchronous step for each message."""
    before = (Image("before"),)
    return [
        Step(
            plugin=Tell(mailbox), message=message, entity=table, stage=40, mode=1, images=before * (message != "Create")
        )
        for message in ("Create", "Update", "Delete")
        for table in ("new_payment", "salesorder")
    ]


class Elsewhere:
    """Dataverse, Stripe, and the runner between them."""

    def __init__(self, directory: Path, clock: ManualClock) -> None:
        self.clock = clock
        self.mailbox: list[bytes] = []
        self.crm = Emulator(telling_steps(self.mailbox), clock=clock)
        self.client = DataverseClient(URL, tokens=NoAuthentication(), retry=RetrySettings(back_off=False))
        self.client.mount(URL, EmbeddedAdapter(WebApi(self.crm)))
        self.stripe = StripeSimulator(clock=clock, seed=0)
        self.traces = Recorder()
        self.queue: MessageQueue = EmbeddedQueue(directory / "queue.db", "dataverse-events", clock=clock)
        services = Services({stripe.StripeClient: self.stripe.client()})
        self.resources = Resources(self.client, services, clock, self.traces)
        self.runner = StepRunner(self.resources)
        self.rows = Rows(self.resources)
        self.deferred = DeferredSteps(self.runner, self.rows)
        self.inline = InlineSteps(self.runner, self.rows, self.deferred, self.queue)
        self.has_steps()

    def has_steps(self, *steps: RemoteStep) -> None:
        """These steps are registered; without any, those of registrations.yaml."""
        directory = StepDirectory(steps) if steps else StepDirectory.of(load(REGISTRATIONS), Secrets({}))
        retries = RetryPolicy(jitter=lambda: 0.0)
        self.dispatcher = Dispatcher(directory, self.deferred, self.inline, self.queue, self.resources, retries=retries)

    # --- in Dataverse --------------------------------------------------------------------------------------

    def create_payment(self, amount: str = "19.99", **columns: object) -> str:
        facts = {"new_name": "Invoice 7", "new_amount": usd(amount), "transactioncurrencyid": CURRENCY}
        return self.client.create(Entity("new_payment", attributes={**facts, **columns}))

    def update(self, row_id: str, **columns: object) -> None:
        self.client.update(Entity("new_payment", row_id, columns))

    def payment(self, row_id: str) -> Entity:
        return self.client.retrieve("new_payment", row_id)

    def notifications(self) -> list[bytes]:
        """What Dataverse has to tell since the last call."""
        self.crm.run_jobs()
        told, self.mailbox[:] = list(self.mailbox), []
        return told

    # --- in the runner -------------------------------------------------------------------------------------

    def notify(self, bodies: list[bytes] | None = None) -> None:
        """Put notifications on the queue: what Dataverse has to tell, unless told which."""
        for body in self.notifications() if bodies is None else bodies:
            self.queue.send(notification_messages(body, RemoteContext.decode(body)))

    def work(self) -> None:
        """Handle what the queue has to give now."""
        while messages := self.queue.receive(10):
            settle(self.queue, [self.dispatcher.handle(message) for message in messages])

    def converge(self) -> None:
        """Until nothing more happens."""
        while bodies := self.notifications():
            self.notify(bodies)
            self.work()

    def stations(self) -> list[str]:
        return [record.station for record in self.traces.records if isinstance(record, NotificationTraced)]

    def open_intents(self) -> list[dict]:
        return [intent for intent in self.stripe.payment_intents.values() if intent["status"] != "canceled"]

    def dead_letters(self) -> list[tuple[str | None, str | None]]:
        return [(m.dead_letter_reason, m.dead_letter_description) for m in self.queue.peek(dead_letters=True)]


CURRENCY = EntityReference("transactioncurrency", currency_id("USD"))


def usd(amount: str) -> Money:
    return Money(Decimal(amount))


@pytest.fixture
def elsewhere(tmp_path: Path):
    there = Elsewhere(tmp_path, ManualClock())
    yield there
    there.queue.close()
    there.client.close()
    there.crm.close()
