"""``runner reconcile`` as an operator and a scheduler see it: over HTTP to Stripe, and CRM's rows on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from azure_bridge.clock import ManualClock
from dataverse_client.types import Entity, EntityReference, Money, new_guid
from runner.cli.main import runner
from runner.emulator.seed import currency_id
from runner.service.wiring import Service, opened
from runner.settings import Settings
from runner.stripe_simulator import StripeSimulator
from runner.tracing.recorder import Silence


class Till:
    """A shop whose clock is an hour slow, so that what happens there has had its time to arrive."""

    def __init__(self, serve) -> None:
        self.clock = ManualClock(datetime.now(UTC) - timedelta(hours=1))
        self.stripe = StripeSimulator(clock=self.clock)
        self.url = serve(over_http(self.stripe))

    @contextmanager
    def crm(self) -> Iterator[Service]:
        with opened(Settings.load(), Silence(), clock=self.clock) as service:
            yield service

    def pay_unheard(self) -> tuple[str, str]:
        """A Payment that is paid, though nobody tells CRM: its row and its intent."""
        with self.crm() as service:
            currency = EntityReference("transactioncurrency", currency_id("EUR"))
            columns = {"new_name": "Invoice", "new_amount": Money(Decimal(20)), "transactioncurrencyid": currency}
            row_id = service.resources.client.create(Entity("new_payment", attributes=columns))
            intent_id = service.resources.client.retrieve("new_payment", row_id)["new_stripepaymentintentid"]
        self.stripe.pay(intent_id)
        return row_id, intent_id

    def orphan(self, organization_id: str | None = None) -> str:
        """An open intent whose row is gone, of our organization unless told otherwise."""
        with self.crm() as service:
            ours = service.resources.client.who_am_i().organization_id
        named = {"CRM_PaymentId": new_guid(), "CRM_Table": "new_payment", "CRM_OrganizationId": organization_id or ours}
        intents = self.stripe.client().v1.payment_intents
        return intents.create({"amount": 900, "currency": "eur", "metadata": named}).id

    def status(self, row_id: str) -> str:
        with self.crm() as service:
            return service.resources.client.retrieve("new_payment", row_id).formatted_values["new_paymentstatus"]


def over_http(simulator: StripeSimulator):
    """The simulator as a server."""
    api = simulator.http_client()

    async def app(scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        url = f"https://api.stripe.com{scope['path']}?{scope['query_string'].decode()}"
        answer, status, answered = api.request(scope["method"].lower(), url, headers, body.decode())
        fields = [(name.lower().encode(), value.encode()) for name, value in answered.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": answer.encode()})

    return app


@pytest.fixture
def till(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Till:
    till = Till(serve)
    monkeypatch.setenv("RUNNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RUNNER_REGISTRATIONS", str(pytestconfig.rootpath / "registrations.yaml"))
    monkeypatch.setenv("STRIPE_SECRET_KEY", till.stripe.api_key)
    monkeypatch.setenv("STRIPE_API_BASE", till.url)
    return till


def reconcile(*arguments: str) -> Result:
    return CliRunner().invoke(runner, ["reconcile", *arguments])


def test_a_difference_is_reported_then_fixed_then_gone(till: Till) -> None:
    row_id, intent_id = till.pay_unheard()
    told = reconcile("--since", "2h")
    assert told.exit_code == 1
    assert any(
        line.split()[:4] == ["event-missing", "new_payment", row_id, intent_id] for line in told.stdout.splitlines()
    )
    assert "runner reconcile --fix" in told.stderr
    fixed = reconcile("--since", "2h", "--fix")
    assert (fixed.exit_code, till.status(row_id)) == (0, "Completed")
    clean = reconcile("--since", "2h")
    assert clean.exit_code == 0
    assert "Nothing differs" in clean.stdout


def test_json_is_a_line_for_each_difference_and_one_for_the_sum(till: Till) -> None:
    row_id, _ = till.pay_unheard()
    *differences, total = map(json.loads, reconcile("--json").stdout.splitlines())
    assert {(each["row_id"], each["fixed"], each["fixable"]) for each in differences} == {(row_id, False, True)}
    assert (total["found"], total["fixed"], total["left"]) == (len(differences), 0, len(differences))


def test_a_run_that_stripe_interrupts_can_be_resumed(till: Till) -> None:
    till.pay_unheard()
    till.stripe.fail_next("rate_limited", on="/v1/payment_intents")
    stopped = reconcile("--since", "2h", "--fix")
    assert stopped.exit_code == 1
    assert "runner reconcile --resume" in stopped.stderr
    resumed = reconcile("--resume", "--fix", "--json")
    total = json.loads(resumed.stdout.splitlines()[-1])
    assert (resumed.exit_code, total["found"], total["fixed"]) == (0, 1, 1)


def test_a_quick_run_in_between_does_not_lose_the_place_of_an_interrupted_one(till: Till) -> None:
    """Given a nightly run that was stopped, and one over the undelivered events every quarter of an hour."""
    till.pay_unheard()
    till.stripe.fail_next("rate_limited", on="/v1/payment_intents")
    reconcile("--since", "2h", "--fix")
    assert reconcile("--since", "2h", "--undelivered").exit_code == 0
    resumed = reconcile("--since", "1m", "--resume", "--fix", "--json")
    total = json.loads(resumed.stdout.splitlines()[-1])
    assert (resumed.exit_code, total["found"], total["fixed"]) == (0, 1, 1)


def test_a_full_run_does_not_go_on_with_a_quick_one(till: Till) -> None:
    till.orphan()
    till.stripe.fail_next("rate_limited", on="/v1/events")
    reconcile("--since", "2h", "--undelivered")
    resumed = reconcile("--since", "2h", "--resume", "--json")
    assert json.loads(resumed.stdout.splitlines()[0])["kind"] == "orphaned-intent"


def test_a_place_stripe_does_not_know_any_more_is_not_gone_on_from(till: Till, tmp_path: Path) -> None:
    """Such as one in another account, or at an event older than Stripe keeps them."""
    till.stripe.fail_next("rate_limited", on="/v1/events")
    reconcile()
    file = tmp_path / "data" / "reconcile.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "after": "evt_of_another_account"}))
    result = reconcile("--resume")
    assert result.exit_code == 2
    assert "evt_of_another_account" in result.stderr
    assert "start without --resume" in result.stderr
    assert "runner reconcile --resume" not in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_bar_on_the_terminal_keeps_out_of_a_file(till: Till, tmp_path: Path) -> None:
    import pty

    row_id, _ = till.pay_unheard()
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "runner.cli", "reconcile", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, timeout=60, text=True)
        shown = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert json.loads(done.stdout.splitlines()[0])["row_id"] == row_id
    assert "compared" in shown
    assert row_id not in shown


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--since", "yesterday"], "is no time"),
        (["--since", "2999-01-01"], "still to come"),
        (["--cancel-orphans"], "only means something with --fix"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_contradictory_options_are_refused(arguments: list[str], why: str) -> None:
    result = reconcile(*arguments)
    assert result.exit_code == 2
    assert why in result.stderr


def test_intents_are_canceled_only_after_a_yes() -> None:
    result = CliRunner().invoke(runner, ["reconcile", "--fix", "--cancel-orphans"], input="n\n")
    assert result.exit_code == 1
    assert "Cancel every open intent" in result.stderr


def test_an_open_intent_whose_row_is_gone_stays_open_until_canceling_is_asked_for(till: Till) -> None:
    intent_id = till.orphan()
    assert reconcile("--since", "2h", "--fix").exit_code == 1
    assert till.stripe.payment_intents[intent_id]["status"] == "requires_payment_method"
    assert reconcile("--since", "2h", "--fix", "--cancel-orphans", "--yes").exit_code == 0
    assert till.stripe.payment_intents[intent_id]["status"] == "canceled"


def test_intents_of_another_organization_of_the_account_are_none_of_ours(till: Till) -> None:
    intent_id = till.orphan(organization_id=new_guid())
    assert reconcile("--since", "2h", "--fix", "--cancel-orphans", "--yes").exit_code == 0
    assert till.stripe.payment_intents[intent_id]["status"] == "requires_payment_method"


def test_of_what_differs_only_undelivered_events_are_looked_at_where_that_is_asked_for(till: Till) -> None:
    till.orphan()
    for event in till.stripe.events:
        till.stripe.acknowledge(event["id"])
    assert reconcile("--since", "2h", "--undelivered").exit_code == 0
    assert reconcile("--since", "2h").exit_code == 1


def test_without_a_stripe_account_there_is_nothing_to_compare(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    monkeypatch.delenv("STRIPE_API_BASE")
    result = reconcile()
    assert result.exit_code == 2
    assert "STRIPE_SECRET_KEY is not set" in result.stderr


def test_another_organizations_interrupted_run_is_not_gone_on_with(till: Till, tmp_path: Path) -> None:
    till.stripe.fail_next("rate_limited", on="/v1/events")
    reconcile()
    file = tmp_path / "data" / "reconcile.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "organization_id": "another"}))
    result = reconcile("--resume")
    assert result.exit_code == 2
    assert "start without --resume" in result.stderr
