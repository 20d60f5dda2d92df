"""What each command asks of Dataverse is what docs/authentication.md tells to grant its application user."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from privileges import Watch
from small_plugins import Tell

from azure_bridge.receiver import Accepted
from azure_bridge.settlement import settle
from dataverse_client.types import Entity, EntityReference, Money
from runner.cli.main import runner
from runner.emulator.emulator import Emulator
from runner.emulator.metadata.load import load_metadata
from runner.emulator.seed import currency_id
from runner.execution.step import Step
from runner.intake.messages import notification_message
from runner.remote_context.context import RemoteContext
from runner.service.reconciling import Request, reconciling
from runner.service.wiring import Service, opened
from runner.settings import Settings
from runner.tracing.recorder import Recorder
from runner.web.dataverse.host import application
from runner.web.dataverse.start_page import Facts

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/authentication.md").read_text(encoding="utf-8")
WITHOUT_STEPS = "steps: []\n"
USD = EntityReference("transactioncurrency", currency_id("USD"))


def granted(command: str) -> set[str]:
    """The privileges in the guide's row of a command, and of the rows it builds on."""
    (row,) = re.findall(rf"^\| `runner {command}`.*$", GUIDE, re.MULTILINE)
    own = {name.lower() for name in re.findall(r"prv\w+", row)}
    return own.union(*(granted(other) for other in re.findall(r"those of `(\w+)`", row)))


@pytest.fixture
def told() -> list[bytes]:
    return []


@pytest.fixture
def crm(told) -> Iterator[Emulator]:
    messages = [
        (message, table) for message in ("Create", "Update", "Delete") for table in ("new_payment", "salesorder")
    ]
    steps = [Step(plugin=Tell(told), message=message, entity=table, stage=40, mode=1) for message, table in messages]
    with Emulator(steps) as emulator:
        yield emulator


@pytest.fixture
def watch(crm, serve, monkeypatch, tmp_path) -> Iterator[Watch]:
    """The environment, served; every request to it is looked at."""
    app = application(crm, Facts("simulator", None, False))
    watch = Watch(app, load_metadata())
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DATAVERSE_URL", serve(watch))
    monkeypatch.setenv("RUNNER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATAVERSE_WEBHOOK_KEY", "a-key-of-this-test")
    yield watch
    app.close()


@pytest.fixture
def run(watch) -> Callable[..., None]:
    def run(*arguments: str) -> None:
        result = CliRunner().invoke(runner, arguments)
        assert result.exit_code == 0, result.output

    return run


@pytest.mark.parametrize("command", ["plan", "doctor"])
def test_plan_and_doctor_need_only_their_privileges(watch, run, command):
    run("apply", "--yes")
    watch.needed.clear()
    run(command)
    assert (lower(watch.needed), watch.unknown) == (granted(command), set())


def test_pulling_and_polling_read_no_more_than_the_guide_says(watch, run, tmp_path):
    run("apply", "--yes")
    watch.needed.clear()
    run("pull", "--output", str(tmp_path / "pulled.yaml"))
    assert set() < lower(watch.needed) <= granted("plan")
    watch.needed.clear()
    run("poll", "--once")
    assert set() < lower(watch.needed) <= granted("work")
    assert watch.unknown == set()


def test_applying_writes_registrations_and_no_rows(watch, run, monkeypatch, tmp_path):
    file, shipped = tmp_path / "registrations.yaml", (ROOT / "registrations.yaml").read_text(encoding="utf-8")
    for text in (
        shipped,
        shipped.replace("alias: before }", "alias: before, attributes: [createdon] }"),
        WITHOUT_STEPS,
    ):
        file.write_text(text)
        run("apply", "--prune", "--yes", str(file))
    file.write_text(shipped)
    run("apply", "--yes", str(file))
    file.write_text(re.sub(r"images:\n.*\n", "rank: 3\n", shipped, count=1))
    monkeypatch.setenv("RUNNER_PUBLIC_URL", "https://moved.contoso.com")
    run("apply", "--prune", "--yes", str(file))

    assert (lower(watch.needed), watch.unknown) == (granted("apply"), set())


def test_working_reads_and_writes_the_rows_of_the_file(watch, crm, told):
    with opened(Settings.load(), Recorder()) as service:
        payment = create_payment(crm)
        converge(crm, told, service)
        pay(service)
        converge(crm, told, service)
        crm.service().delete("new_payment", payment)
        converge(crm, told, service)

    assert (lower(watch.needed), watch.unknown) == (granted("work"), set())


def test_reconciling_needs_no_more_than_working(watch, crm, told):
    settings = Settings.load()
    with opened(settings, Recorder()) as service:
        create_payment(crm)
        converge(crm, told, service)
        watch.needed.clear()
        pay(service, deliver=False)
        since = service.resources.clock.now() - timedelta(days=1)
        _, pages = reconciling(Request(since=since, fix=True), settings, service)
        list(pages)

    assert watch.unknown == set()
    assert lower(watch.needed) <= granted("reconcile") <= granted("work")


def lower(names: set[str]) -> set[str]:
    return {name.lower() for name in names}


def create_payment(crm: Emulator) -> str:
    order = crm.service().create(Entity("salesorder", attributes={"name": "Order", "transactioncurrencyid": USD}))
    facts = {"new_name": "Invoice 7", "new_amount": Money(Decimal("19.99")), "transactioncurrencyid": USD}
    linked = {"new_salesorderid": EntityReference("salesorder", order)}
    return crm.service().create(Entity("new_payment", attributes=facts | linked))


def converge(crm: Emulator, told: list[bytes], service: Service) -> None:
    """Notifications are handled until there are none."""
    while crm.run_jobs() or told:
        bodies, told[:] = list(told), []
        service.events.send([notification_message(body, RemoteContext.decode(body)) for body in bodies])
        for batch in iter(lambda: service.events.receive(10), []):
            settle(service.events, [service.dispatcher.handle(message) for message in batch])


def pay(service: Service, *, deliver: bool = True) -> None:
    """The customer pays, and Stripe tells of it."""
    simulator = service.stripe.simulator
    for intent in simulator.payment_intents:
        card = {"payment_method": "pm_card_visa", "return_url": "https://contoso.com"}
        service.stripe.client.v1.payment_intents.confirm(intent, card)
    for delivery in simulator.deliveries(simulator.events) if deliver else ():
        reception = service.receiver.receive(delivery.payload, delivery.signature)
        if isinstance(reception, Accepted):
            service.payments.send([reception.message])
    service.processor.drain(service.payments)
