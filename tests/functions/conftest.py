"""A Functions app in this process, with a Dataverse and a Stripe elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import requests
from azure.servicebus import ServiceBusClient
from functions_host import Host
from requests.adapters import BaseAdapter
from small_plugins import Tell

from azure_bridge.clock import ManualClock
from azure_bridge.functions import bridge_functions
from azure_bridge.once import Once
from azure_bridge.tables import PaymentStatus
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.retry import RetrySettings
from dataverse_client.types import Entity, EntityReference, Money
from runner.emulator.adapter import EmbeddedAdapter
from runner.emulator.emulator import Emulator
from runner.emulator.seed import currency_id
from runner.emulator.webapi import WebApi
from runner.execution.step import Step
from runner.functions import runner_functions
from runner.service.wiring import opened
from runner.settings import Settings
from runner.tracing.recorder import Recorder

ROOT = Path(__file__).parents[2]
URL = "http://elsewhere.dataverse.local"
KEY = "the-key-dataverse-sends"
NOW = timedelta(0)


class Away(BaseAdapter):
    """A Dataverse that is down for a while."""

    def send(self, request: Any, **_: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.request, response._content = 503, request, b""
        return response

    def close(self) -> None: ...


class World:
    """The app, its host, and what is around them."""

    def __init__(self, host: Host, service: Any, crm: Emulator, mailbox: list[bytes], traces: Recorder) -> None:
        self.host, self.service, self.traces = host, service, traces
        self.clock, self.stripe = service.resources.clock, service.stripe.simulator
        self._crm, self._mailbox, self._posted = crm, mailbox, 0

    def create_payment(self, amount: str = "19.99") -> str:
        facts = {"new_name": "Invoice 7", "new_amount": Money(Decimal(amount)), "transactioncurrencyid": CURRENCY}
        return self.service.resources.client.create(Entity("new_payment", attributes=facts))

    def write(self, row_id: str, **columns: Any) -> None:
        self.service.resources.client.update(Entity("new_payment", row_id, columns))

    def payment(self, row_id: str) -> Entity:
        return self.service.resources.client.retrieve("new_payment", row_id)

    def status(self, row_id: str) -> PaymentStatus | None:
        bridge = self.service.registrations.bridge
        value = self.payment(row_id).get("new_paymentstatus")
        names = {number: name for name, number in bridge.tables[0].statuses.items()}
        return names[value.value] if value else None

    def notifications(self) -> list[bytes]:
        """What Dataverse has to tell since the last call."""
        self._crm.run_jobs()
        told, self._mailbox[:] = list(self._mailbox), []
        return told

    def notify(self, body: bytes, **headers: str) -> func.HttpResponse:
        return self.host.post(
            "dataverse_webhook", f"/dataverse/webhook?code={KEY}", body, Content_Type="application/json", **headers
        )

    def happened(self) -> list[Any]:
        """What Stripe has to deliver since the last call."""
        events, self._posted = self.stripe.events[self._posted :], len(self.stripe.events)
        return self.stripe.deliveries(events)

    def post(self, delivery: Any) -> func.HttpResponse:
        return self.host.post(
            "stripe_webhook", "/stripe/webhook", delivery.payload, Stripe_Signature=delivery.signature
        )

    @contextmanager
    def crm_is_away(self) -> Iterator[None]:
        client = self.service.resources.client
        client.mount(URL, Away())
        yield
        client.mount(URL, EmbeddedAdapter(WebApi(self._crm)))


CURRENCY = EntityReference("transactioncurrency", currency_id("USD"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Opens an app whose Dataverse is elsewhere, with the embedded queues unless settings say otherwise."""
    with ExitStack() as closing:

        def open_world(bus: ServiceBusClient | None = None, clock: ManualClock | None = None, **facts: Any) -> World:
            clock, mailbox, traces = clock or ManualClock(datetime.now(UTC).replace(microsecond=0)), [], Recorder()
            crm = closing.enter_context(Emulator(_telling(mailbox), clock=clock))
            monkeypatch.setattr("runner.service.wiring.connect", lambda settings: _client(settings.dataverse_url, crm))
            told = {"dataverse_url": URL, "dataverse_webhook_key": (KEY,), "runner_data_dir": tmp_path}
            settings = Settings(**{**told, "runner_registrations": ROOT / "registrations.yaml", **facts})
            parts = Once(lambda: closing.enter_context(opened(settings, traces, clock=clock)))
            app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
            app.register_functions(bridge_functions(parts, hold=NOW))
            app.register_functions(runner_functions(parts, lambda: settings, hold=NOW))
            return World(Host(app, bus), parts(), crm, mailbox, traces)

        yield open_world


def _telling(mailbox: list[bytes]) -> list[Step]:
    """As `runner apply` registers them: asynchronous, after the commit."""
    return [
        Step(plugin=Tell(mailbox), message=message, entity="new_payment", stage=40, mode=1)
        for message in ("Create", "Update")
    ]


def _client(url: str, crm: Emulator) -> DataverseClient:
    client = DataverseClient(url, tokens=NoAuthentication(), retry=RetrySettings(back_off=False))
    client.mount(url, EmbeddedAdapter(WebApi(crm)))
    return client
