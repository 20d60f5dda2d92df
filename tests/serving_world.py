"""Real processes on this machine: ``runner emulate``, ``runner serve``, and a Stripe they both can reach."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
from click.testing import CliRunner
from ports import kept_port
from registered_rows import endpoint_row, step_row
from served_stripe import served_stripe

from azure_bridge.queues.contract import QueueCounts
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, Money, new_guid
from runner.cli.main import runner
from runner.emulator.seed import currency_id
from runner.intake.worker import LaneWorker
from runner.plugin import INERT_HOST, Caller, MessageOperation, Organization, PluginContext
from runner.remote_context.context import RemoteContext
from runner.service.wiring import opened
from runner.settings import Settings
from runner.stripe_simulator import StripeSimulator
from runner.tracing.recorder import Silence

REPOSITORY = Path(__file__).parents[1]
REGISTRATIONS = REPOSITORY / "registrations.yaml"
ORGANIZATION = new_guid()
WEBHOOK_KEY = "a key of this test"
SIGNING_SECRET = "whsec_of_this_test"


def a_notification(message: str, payment_id: str, amount: str) -> bytes:
    operation = MessageOperation(
        organization=Organization(organization_id=ORGANIZATION, organization_name="contoso"),
        caller=Caller(initiating_user_id=EMPTY_GUID),
        message_name=message,
        primary_entity_name="new_payment",
        primary_entity_id=payment_id,
        input_parameters={"Target": Entity("new_payment", payment_id, {"new_amount": Money(Decimal(amount))})},
        operation_id=new_guid(),
        correlation_id=new_guid(),
    )
    context = PluginContext(
        operation,
        INERT_HOST,
        stage=40,
        mode=1,
        owning_extension=EntityReference("sdkmessageprocessingstep", new_guid()),
        user_id=EMPTY_GUID,
        is_in_transaction=False,
        shared_variables={},
        pre_entity_images={"before": Entity("new_payment", payment_id)},
    )
    return RemoteContext.of(context).encode()


class Process:
    """A ``runner`` command that goes on; ``said`` is its first line. ``errors`` puts them among what it says."""

    def __init__(self, *arguments: str, directory: Path, errors: bool = False, **settings: str) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "runner.cli", *arguments],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": f"{directory}:{REPOSITORY}", **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else None,
            text=True,
        )
        self.said = self._popen.stdout.readline()
        if not self.said:
            raise AssertionError(f"runner {' '.join(arguments)} ended with {self.stop()}")

    @property
    def url(self) -> str:
        return json.loads(self.said)["url"]

    def lines(self) -> Iterator[str]:
        """What it says, until it ends. Whoever stops listening leaves the pipe open, as ``yield from`` would not."""
        return iter(self._popen.stdout.readline, "")

    def wait_for(self, text: str) -> str:
        """The next line that holds ``text``."""
        for line in self.lines():
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}")

    def kill(self) -> None:
        self._popen.kill()
        assert self.stop() == -signal.SIGKILL

    def stop(self) -> int:
        """In good order, if it has not ended yet; answers its exit code."""
        self._popen.terminate()
        code = self._popen.wait(timeout=60)
        self._popen.stdout.close()
        return code


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


class ClockAhead:
    """Tells the time there will be."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


class World:
    """A Dataverse without steps of its own, the runner that serves it, and Stripe."""

    until = staticmethod(until)

    def __init__(self, directory: Path, closing: ExitStack) -> None:
        self._closing = closing
        self.directory = directory
        self.simulator = StripeSimulator(seed=0, webhook_secret=SIGNING_SECRET)
        self.stripe_url = closing.enter_context(served_stripe(self.simulator))
        self.data = directory / ".runner"
        self.data.mkdir()
        # Its Service Bus messages go to the queues of the data directory.
        kept = {"RUNNER_DATA_DIR": str(self.data)}
        emulate = Process("emulate", "--no-registrations", "--port", "0", "--json", directory=directory, **kept)
        closing.callback(emulate.stop)
        self.dataverse_url = emulate.url
        self.client = DataverseClient(emulate.url, tokens=NoAuthentication())
        closing.callback(self.client.close)
        self.http = closing.enter_context(requests.Session())
        self.http.trust_env = False
        #: For a server that is to be found again after its death.
        self.port = closing.enter_context(kept_port())

    @property
    def settings(self) -> dict[str, str]:
        return {
            "DATAVERSE_URL": self.dataverse_url,
            "DATAVERSE_WEBHOOK_KEY": WEBHOOK_KEY,
            "RUNNER_DATA_DIR": str(self.data),
            "STRIPE_API_BASE": self.stripe_url,
            "STRIPE_SECRET_KEY": self.simulator.api_key,
            "STRIPE_WEBHOOK_SECRET": SIGNING_SECRET,
        }

    def start(self, *arguments: str, registrations: Path = REGISTRATIONS, **settings: str) -> Process:
        configured = {**self.settings, "RUNNER_REGISTRATIONS": str(registrations), **settings}
        process = Process(*arguments, directory=self.directory, **configured)
        self._closing.callback(process.stop)
        return process

    def serve(self, *arguments: str, port: int = 0, **options: Any) -> Process:
        return self.start("serve", "--port", str(port), "--json", *arguments, **options)

    def run(self, *arguments: str, registrations: Path = REGISTRATIONS, **settings: str) -> str:
        """A command that ends, and needs no process of its own; answers what it said."""
        configured = {**self.settings, "RUNNER_REGISTRATIONS": str(registrations), **settings}
        done = CliRunner().invoke(runner, arguments, env=configured)
        assert done.exit_code == 0, done.output
        return done.stdout

    def work_through(self, ahead: timedelta, registrations: Path = REGISTRATIONS) -> QueueCounts:
        """What a worker does that looks at the queue so much later; answers what is left."""
        settings = Settings.load({**self.settings, "RUNNER_REGISTRATIONS": str(registrations)})
        clock = ClockAhead(ahead)
        with opened(settings, Silence(), clock=clock) as service:
            LaneWorker(service.events, service.dispatcher.handle, clock).run(lambda: False, when_idle=lambda: True)
            return service.events.counts()

    # --- in Dataverse --------------------------------------------------------------------------------------

    def register_webhook(self, url: str) -> str:
        hook = endpoint_row(contract=8, authtype=4, url=f"{url}/dataverse/webhook", authvalue=WEBHOOK_KEY)
        return self.client.create(hook)

    def register_step(self, endpoint: str, message: str, stage: int = 40, mode: int = 1) -> str:
        """Deferred unless told otherwise: asynchronous, after the operation."""
        return self.client.create(step_row(endpoint, message, "new_payment", stage=stage, mode=mode))

    def create_payment(self, amount: str = "19.99", name: str = "Invoice 7") -> str:
        usd = EntityReference("transactioncurrency", currency_id("USD"))
        columns = {"new_name": name, "new_amount": Money(Decimal(amount)), "transactioncurrencyid": usd}
        return self.client.create(Entity("new_payment", attributes=columns))

    def payment(self, row_id: str) -> Entity:
        return self.client.retrieve("new_payment", row_id)

    def intent_of(self, row_id: str) -> dict:
        """Once the row has one."""
        self.until(lambda: self.payment(row_id).get("new_stripepaymentintentid"))
        return self.simulator.payment_intents[self.payment(row_id)["new_stripepaymentintentid"]]

    @staticmethod
    def notification(message: str, payment_id: str, amount: str) -> bytes:
        """What Dataverse tells of a payment of that amount, once more or for the first time."""
        return a_notification(message, payment_id, amount)

    # --- at Stripe -----------------------------------------------------------------------------------------

    def pay(self, intent_id: str, url: str) -> None:
        """The customer pays, and Stripe posts what happened."""
        self.simulator.pay(intent_id)
        for delivery in self.simulator.deliveries():
            headers = {"Stripe-Signature": delivery.signature}
            answer = self.http.post(f"{url}/stripe/webhook", data=delivery.payload, headers=headers, timeout=30)
            assert answer.status_code == 200, answer.text
