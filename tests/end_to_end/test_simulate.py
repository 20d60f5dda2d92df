"""``runner simulate`` for every outcome, table and mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served_stripe import served_stripe

from runner.cli.simulate import OUTCOMES as OFFERED
from runner.simulation.outcomes import OUTCOMES
from runner.stripe_simulator import StripeSimulator

Simulate = Callable[..., Any]
#: What a simulation signs in with where STRIPE_SECRET_KEY names no other test key.
LOCAL_KEY = "sk_test_local"
METADATA_KEYS = {"payment": "CRM_PaymentId", "sales_order": "CRM_SalesOrderId"}


def test_every_outcome_that_is_offered_can_be_played() -> None:
    assert list(OUTCOMES) == list(OFFERED)


@pytest.mark.parametrize("entity", METADATA_KEYS)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_ends_in_its_status(simulate: Simulate, entity: str, outcome: str) -> None:
    seen = simulate("--entity", entity, "--outcome", outcome)
    assert seen.document["problems"] == []
    assert seen.exit_code == 0
    assert seen.document["status"] == OUTCOMES[outcome].status
    assert (seen.intent["amount"], seen.intent["currency"]) == (4990, "usd")
    assert seen.intent[f"metadata.{METADATA_KEYS[entity]}"] == seen.document["row_id"]


@pytest.mark.parametrize(
    ("amount", "currency", "minor_units"),
    [("19.99", "USD", 1999), ("500", "JPY", 500), ("5.12", "KWD", 5120), ("5", "ISK", 500), ("10.00", "HUF", None)],
)
def test_amounts_reach_stripe_in_minor_units(
    simulate: Simulate, amount: str, currency: str, minor_units: int | None
) -> None:
    seen = simulate("--set", f"amount={amount}", "--set", f"currency={currency}", "--outcome", "none")
    assert (seen.intent or {}).get("amount") == minor_units
    assert seen.exit_code == (0 if minor_units else 1)


def test_an_update_changes_the_intent_too(simulate: Simulate) -> None:
    seen = simulate("--message", "update", "--set", "amount=12.50", "--outcome", "none")
    assert seen.exit_code == 0
    assert seen.intent["amount"] == 1250


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--message", "delete"], "The row is gone, and its intent with it."),
        (["--message", "delete", "--entity", "account"], "The row is gone."),
        (["--rollback"], "Row and intent are both gone, as they should be after a rollback."),
        (["--rollback", "--entity", "account"], "The row is gone, as it should be after a rollback."),
    ],
)
def test_an_intent_is_spoken_of_where_there_was_one(simulate: Simulate, options: list[str], told: str) -> None:
    seen = simulate(*options)
    assert (seen.exit_code, seen.document["summary"]) == (0, told)


def test_a_refused_deletion_is_told_like_a_refused_change(
    simulate: Simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keeping.py").write_text(
        "from runner.plugin import *\n\n\nclass Keep(Plugin):\n    def execute(self, context):\n"
        "        raise InvalidPluginExecutionException('Accounts stay.')\n"
    )
    registrations = tmp_path / "keeping.yaml"
    registrations.write_text(
        "steps: [{ name: Keep, plugin: 'keeping:Keep', message: Delete, entity: account, stage: 10 }]"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = simulate("--message", "delete", "--entity", "account", "--registrations", str(registrations))
    assert seen.exit_code == 1
    assert seen.document["problems"] == ["CRM refused the deletion: Accounts stay."]


def test_a_deleted_row_takes_its_intent_along(simulate: Simulate) -> None:
    seen = simulate("--message", "delete")
    assert seen.exit_code == 0
    assert seen.intent["status"] == "canceled"


@pytest.mark.parametrize("entity", METADATA_KEYS)
@pytest.mark.parametrize("outcome", ["succeeded", "checkout"])
def test_a_rollback_undoes_what_was_made_at_stripe(simulate: Simulate, entity: str, outcome: str) -> None:
    seen = simulate("--rollback", "--entity", entity, "--outcome", outcome)
    assert seen.exit_code == 0
    assert seen.records("Compensated")


def test_the_usual_names_of_tables_need_no_alias(simulate: Simulate, tmp_path: Path) -> None:
    file = tmp_path / "registrations.yaml"
    tables = "[{ entity: new_payment, metadata_key: CRM_PaymentId }]"
    file.write_text(f"steps: []\nbridge: {{ events: [payment_intent.succeeded], tables: {tables} }}\n")
    seen = simulate("--registrations", str(file), "--outcome", "none", "--set", "name=Invoice 7")
    assert seen.row["new_name"] == "Invoice 7"


def test_any_other_table_just_runs_its_steps(simulate: Simulate) -> None:
    seen = simulate("--entity", "account", "--set", "name=Contoso")
    assert seen.exit_code == 0
    assert seen.row["name"] == "Contoso"


def test_a_table_of_ones_own_is_simulated_once_it_is_described(simulate: Simulate, tmp_path: Path) -> None:
    registrations = tmp_path / "desks.yaml"
    registrations.write_text("tables: { new_desk: { columns: { new_floor: { type: Integer } } } }")
    seen = simulate("--entity", "new_desk", "--set", "new_floor=3", "--registrations", str(registrations))
    assert (seen.exit_code, seen.document["row"]["new_floor"]) == (0, 3)


def test_without_a_bridge_section_a_payment_just_runs_its_steps(simulate: Simulate, tmp_path: Path) -> None:
    file = tmp_path / "registrations.yaml"
    file.write_text("steps: []\n")
    seen = simulate("--registrations", str(file), "--set", "name=Invoice 7")
    assert seen.exit_code == 0
    assert seen.row["new_name"] == "Invoice 7"
    assert seen.document["summary"].endswith("went through. Without a bridge section, no payment follows.")


def test_a_row_from_a_file_and_the_command_line_together(simulate: Simulate, tmp_path: Path) -> None:
    record = tmp_path / "row.json"
    record.write_text(json.dumps({"new_name": "From the file", "amount": 7.10}))
    seen = simulate("--record", str(record), "--set", "currency=EUR", "--set", "customer=Contoso", "--outcome", "none")
    assert seen.row["new_name"] == "From the file"
    assert (seen.intent["amount"], seen.intent["currency"]) == (710, "eur")
    assert seen.row["new_customerid"]["name"] == "Contoso"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "amount=abc"], "an amount such as 19.99 is expected"),
        (["--set", "amuont=1"], "Did you mean amount"),
        (["--set", "nothing"], "write column=value"),
        (["--set", "currency=XXX"], "no transactioncurrency is called that"),
        (["--entity", "paymnt"], "Did you mean payment"),
        (["--record", "missing.json"], "missing.json"),
        (["--registrations", "missing.yaml"], "missing.yaml cannot be read"),
        (["--stripe", "elsewhere"], "simulator, test-mode, or a server's"),
        (["--stripe", "test-mode"], "STRIPE_SECRET_KEY"),
        (["--outcome", "paid"], "succeeded"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_used_is_said_with_exit_code_2(run: Simulate, arguments: list[str], said: str) -> None:
    seen = run(*arguments)
    assert seen.exit_code == 2
    assert said in seen.said
    assert "Traceback" not in seen.said


def test_a_live_key_is_refused_and_not_shown(run: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_51HverySecretIndeed")
    monkeypatch.setenv("STRIPE_LIVE", "yes")
    seen = run("--stripe", "test-mode")
    assert seen.exit_code == 2
    assert "Live keys are refused" in seen.said
    assert "verySecretIndeed" not in seen.said


@pytest.mark.parametrize("outcome", ["succeeded", "failed-then-succeeded", "partially-refunded", "disputed", "none"])
def test_another_server_that_speaks_stripes_api_will_do(simulate: Simulate, outcome: str) -> None:
    """Its events are read from the API, as no webhook reaches us, and take the same road."""
    with served_stripe(StripeSimulator(api_key=LOCAL_KEY)) as url:
        seen = simulate("--stripe", url, "--outcome", outcome)
    assert seen.document["problems"] == []
    assert seen.document["status"] == OUTCOMES[outcome].status


def test_a_checkout_page_elsewhere_needs_a_person(run: Simulate) -> None:
    with served_stripe(StripeSimulator(api_key=LOCAL_KEY)) as url:
        seen = run("--stripe", url, "--outcome", "checkout")
    assert seen.exit_code == 2
    assert "Only a customer can pay" in seen.said


def test_the_timeline_reads_from_row_to_row(run: Simulate) -> None:
    seen = run("--outcome", "failed")
    order = [
        "Create new_payment",
        "20 PreOperation, rank 1  Payment: create the intent",
        "→ Stripe POST /v1/payment_intents 200",
        "Target.new_paymentstatus: Draft → Pending",
        "Create committed",
        "/confirm 402",
        "queued    payment_intent.payment_failed",
        "applied   payment_intent.payment_failed",
        "✓ The row says Failed",
    ]
    places = [seen.said.index(part) for part in order]
    assert places == sorted(places)


def test_no_secret_is_printed(run: Simulate, simulate: Simulate) -> None:
    for said in (run("--outcome", "refunded").said, simulate("--outcome", "checkout").said):
        assert "_secret_" not in said
        assert "whsec_" not in said
        assert "sk_test" not in said


def test_there_is_no_colour_when_nobody_looks(run: Simulate) -> None:
    assert "\x1b[" not in run().said


def test_the_kept_databases_are_where_they_were_asked_for(simulate: Simulate, tmp_path: Path) -> None:
    simulate("--keep", str(tmp_path / "new" / "place"))
    assert {"dataverse.db", "queue.db"} <= {file.name for file in (tmp_path / "new" / "place").iterdir()}


def test_the_console_script_runs_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "runner.cli", "simulate", "--no-color"]
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "✓ The row says Completed" in done.stdout
