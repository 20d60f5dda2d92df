"""The fixtures the package gives to everybody's tests, used as its documentation shows them."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from azure_bridge.errors import SignatureRefusedError
from azure_bridge.receiver import Ignored
from runner.emulator.errors import AttributeNotFound, EntityNotFound, OrganizationServiceFault
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, OperationStatus, Plugin, PluginContext
from runner.simulation.row_input import RowInputError
from runner.testing import Bridge, Crm, ManualClock, StripeSimulator

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "docs" / name for name in ("testing-plugins.md", "writing-plugins.md")]
EXAMPLES = [block for guide in GUIDES for block in re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)]
PAYMENT = {"name": "Invoice 7", "amount": "49.90", "currency": "EUR"}


class RefuseLargeOrders(Plugin):
    def execute(self, context: PluginContext) -> None:
        if context.target["totalamount"].value > 1000:
            raise InvalidPluginExecutionException("Ask the manager.")


class Busy(Plugin):
    def execute(self, context: PluginContext) -> None:
        raise InvalidPluginExecutionException("Busy.", status=OperationStatus.RETRY)


class CountRuns(Plugin):
    def execute(self, context: PluginContext) -> None:
        context.trace("Ran for {}", context.primary_entity_name)


def test_a_payment_gets_its_intent(crm: Crm, stripe_simulator: StripeSimulator) -> None:
    payment = crm.create("new_payment", PAYMENT)
    intent_id = crm.retrieve("new_payment", payment)["new_stripepaymentintentid"]
    assert stripe_simulator.payment_intents[intent_id]["amount"] == 4990


def test_a_paid_payment_is_completed(crm: Crm, stripe_simulator: StripeSimulator, bridge: Bridge) -> None:
    payment = crm.create("new_payment", PAYMENT)
    stripe_simulator.pay(crm.retrieve("new_payment", payment)["new_stripepaymentintentid"])
    bridge.deliver(twice=True, shuffle=3)
    row = crm.retrieve("new_payment", payment)
    assert row.formatted_values["new_paymentstatus"] == "Completed"
    assert row["new_amountreceived"].value == Decimal("49.90")


def test_events_are_delivered_once_unless_asked_for_again(
    crm: Crm, stripe_simulator: StripeSimulator, bridge: Bridge
) -> None:
    payment = crm.create("new_payment", PAYMENT)
    stripe_simulator.pay(crm.retrieve("new_payment", payment)["new_stripepaymentintentid"])
    assert bridge.deliver().completed == 1
    assert bridge.deliver().completed == 0


def test_what_somebody_else_signed_is_refused_and_still_to_come(
    crm: Crm, stripe_simulator: StripeSimulator, bridge: Bridge
) -> None:
    crm.create("new_payment", PAYMENT)
    with pytest.raises(SignatureRefusedError):
        bridge.receive(secret="whsec_of_somebody_else")
    assert [type(each) for each in bridge.receive()] == [Ignored]  # payment_intent.created


def test_a_step_of_ones_own_refuses(crm: Crm) -> None:
    crm.register(Step(plugin=RefuseLargeOrders(), message="Create", entity="salesorder", stage=10))
    with pytest.raises(OrganizationServiceFault, match="Ask the manager"):
        crm.create("salesorder", name="Large", amount="1000.01")
    assert crm.find("salesorder") == []


def test_executions_list_what_ran_with_its_lines(crm: Crm) -> None:
    crm.register(Step(plugin=CountRuns(), message="Create", entity="account", stage=40))
    account = crm.create("account", name="Contoso")
    (ran,) = crm.executions
    assert ran.context.primary_entity_id == account
    assert ran.lines == ["Ran for account"]


def test_asynchronous_steps_run_when_the_test_says(crm: Crm) -> None:
    crm.register(Step(plugin=CountRuns(), message="Create", entity="account", stage=40, mode=1))
    crm.create("account", name="Contoso")
    assert crm.executions == ()
    assert crm.run_jobs() == 1
    assert len(crm.executions) == 1


def test_a_snapshot_brings_everything_back(crm: Crm) -> None:
    account = crm.create("account", name="Contoso")
    before = crm.snapshot()
    crm.update("account", account, name="Fabrikam")
    crm.restore(before)
    assert crm.retrieve("account", account)["name"] == "Contoso"


def test_one_clock_serves_crm_and_stripe(crm: Crm, clock: ManualClock, stripe_simulator: StripeSimulator) -> None:
    clock.advance(timedelta(days=3))
    payment = crm.create("new_payment", PAYMENT)
    assert crm.retrieve("new_payment", payment)["createdon"] == clock.now()
    assert stripe_simulator.events[-1]["created"] == int(clock.now().timestamp())


class TestWithBackOff:
    """The switch: retries wait, by the clock."""

    @pytest.fixture
    def back_off(self) -> bool:
        return True

    def test_an_event_whose_row_is_missing_waits(
        self, crm: Crm, stripe_simulator: StripeSimulator, bridge: Bridge, clock: ManualClock
    ) -> None:
        empty = crm.snapshot()
        payment = crm.create("new_payment", PAYMENT)
        written = crm.snapshot()
        stripe_simulator.pay(crm.retrieve("new_payment", payment)["new_stripepaymentintentid"])
        crm.restore(empty)
        assert bridge.deliver().retry_later == 1
        crm.restore(written)
        assert bridge.drain().completed == 0
        clock.advance(timedelta(seconds=3))
        assert bridge.drain().completed == 1

    def test_a_job_that_asks_to_be_retried_waits(self, crm: Crm, clock: ManualClock) -> None:
        crm.register(Step(plugin=Busy(), message="Create", entity="account", stage=40, mode=1))
        crm.create("account", name="Contoso")
        assert (crm.run_jobs(), len(crm.pending_jobs)) == (0, 1)
        clock.advance(timedelta(minutes=1))
        crm.run_jobs()
        assert len(crm.executions) == 2


def test_without_back_off_nothing_waits_and_what_never_passes_becomes_a_dead_letter(
    crm: Crm, stripe_simulator: StripeSimulator, bridge: Bridge
) -> None:
    empty = crm.snapshot()
    payment = crm.create("new_payment", PAYMENT)
    stripe_simulator.pay(crm.retrieve("new_payment", payment)["new_stripepaymentintentid"])
    crm.restore(empty)
    assert bridge.deliver().dead_lettered == 1
    assert bridge.dead_letters[0].dead_letter_reason == "RowNotFound"


@pytest.mark.parametrize("block", EXAMPLES)
def test_what_the_guides_show_runs(pytester: pytest.Pytester, block: str) -> None:
    """Each example, as a project of its own."""
    pytester.makeini(f"[pytest]\nrunner_registrations = {ROOT / 'registrations.yaml'}\npythonpath = {ROOT}")
    pytester.makepyfile(block)
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(passed=block.count("def test_"))


def test_a_file_of_several_blocks_comes_back_whole(crm: Crm) -> None:
    with crm.emulator.customizing() as customizations:
        customizations.create_column("new_payment", "new_receipt", {"type": "File"})
    payment, content = crm.create("new_payment", PAYMENT), bytes(range(256)) * 20000
    crm.upload("new_payment", payment, "new_receipt", content, "receipt.pdf")
    assert crm.download("new_payment", payment, "new_receipt") == content
    (attachment,) = crm.find("fileattachment")
    assert (attachment["filename"], attachment["mimetype"]) == ("receipt.pdf", "application/pdf")


def test_an_empty_file_is_a_file(crm: Crm) -> None:
    with crm.emulator.customizing() as customizations:
        customizations.create_column("new_payment", "new_receipt", {"type": "File"})
    payment = crm.create("new_payment", PAYMENT)
    crm.upload("new_payment", payment, "new_receipt", b"")
    assert crm.download("new_payment", payment, "new_receipt") == b""


STAMPED = """
def test_a_new_account_is_stamped(crm):
    assert crm.retrieve("account", crm.create("account", name="Contoso"))["telephone1"] == "1"


def test_events_have_nowhere_to_go(bridge):
    pass
"""
STAMP = """
from runner.plugin import Plugin


class Stamp(Plugin):
    def execute(self, context):
        context.target["telephone1"] = "1"
"""
STAMPING = """
steps:
  - { name: Stamp, plugin: "stamp_of_a_project:Stamp", message: Create, entity: account, stage: 20 }
"""


def test_plugins_are_tried_without_a_bridge(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\npythonpath = .")
    pytester.makepyfile(stamp_of_a_project=STAMP, test_stamp=STAMPED)
    pytester.makefile(".yaml", registrations=STAMPING)
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines("*registrations.yaml has no bridge section*")


def test_a_table_of_ones_own_is_there_when_it_is_described(pytester: pytest.Pytester) -> None:
    described = "tables: { new_desk: { columns: { name: { type: String }, telephone1: { type: String } } } }\n"
    pytester.makeini("[pytest]\npythonpath = .")
    pytester.makepyfile(
        stamp_of_a_project=STAMP, test_stamp=STAMPED.replace("account", "new_desk").partition("def test_ev")[0]
    )
    pytester.makefile(".yaml", registrations=described + STAMPING.replace("account", "new_desk"))
    pytester.runpytest_inprocess("-q").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("registrations", "said"),
    [
        (None, "*registrations.yaml cannot be read: No such file*Set runner_registrations*"),
        (STAMPING.replace("Create", "Creat"), "*has no message 'Creat'. Did you mean Create?*"),
    ],
    ids=["none", "wrong"],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(
    pytester: pytest.Pytester, registrations: str | None, said: str
) -> None:
    pytester.makepyfile("def test_anything(crm): ...")
    if registrations is not None:
        pytester.makefile(".yaml", registrations=registrations)
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(said)
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("registrations", "said"),
    [
        (STAMPING.replace("of_a", "of_no"), "There is no module stamp_of_no_project. Run from*"),
        (STAMPING.replace("of_a", "with_a_slip_of_a"), "Module stamp_with_* cannot be imported: SyntaxError: *py:1)."),
        (STAMPING.replace("account", "acount"), "Step 'Stamp': there is no table 'acount' here*"),
        (STAMPING.replace("20 }", '20, configuration: "${env:NOT_SET}" }'), "*has no value.*monkeypatch.setenv*"),
    ],
    ids=["module", "syntax", "table", "secret"],
)
def test_plugins_that_cannot_be_had_are_told_once_and_without_a_traceback(
    pytester: pytest.Pytester, registrations: str, said: str
) -> None:
    pytester.makepyfile(
        stamp_of_a_project=STAMP, stamp_with_a_slip_of_a_project="def (", test_it="def test_it(crm): ..."
    )
    pytester.makefile(".yaml", registrations=registrations)
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(said)
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.no_fnmatch_line("*fixtures.py*")


IN_A_DIRECTORY = """
from pathlib import Path

import pytest


@pytest.fixture
def registrations():
    return Path(__file__).with_name("registrations.yaml")


def test_a_new_account_is_stamped(crm):
    assert crm.retrieve("account", crm.create("account", name="Contoso"))["telephone1"] == "2"


@pytest.mark.parametrize("registrations", [str(Path(__file__).with_name("nothing.yaml"))])
def test_another_file_for_one_test(crm):
    assert crm.emulator.steps == ()
"""


def test_plugins_are_found_beside_their_registrations_wherever_pytest_is_started(pytester: pytest.Pytester) -> None:
    below = pytester.mkdir("below")
    (below / "stamp_in_a_directory.py").write_text(STAMP.replace('"1"', '"2"'))
    (below / "registrations.yaml").write_text(STAMPING.replace("of_a_project", "in_a_directory"))
    (below / "nothing.yaml").write_text("steps: []")
    (below / "test_below.py").write_text(IN_A_DIRECTORY)
    result = pytester.runpytest_inprocess("-q", "below")
    result.assert_outcomes(passed=2)


def test_a_run_without_the_fixtures_does_not_wait_for_what_they_need() -> None:
    heavy = "{'stripe', 'requests', 'pydantic', 'yaml', 'runner.emulator'} & set(sys.modules)"
    script = f"import sys, runner.testing.fixtures; sys.exit(str(sorted({heavy})) if {heavy} else 0)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


FAILING = """
from runner.execution.step import Step
from runner.plugin import Plugin


class Divide(Plugin):
    def execute(self, context):
        context.trace("dividing by {}", 0)
        1 / 0


def test_it_divides(crm):
    crm.register(Step(plugin=Divide(), message="Create", entity="account", stage=20, name="Divide"))
    crm.create("account", name="Contoso")
"""


def test_a_failure_shows_the_plugin_and_what_it_traced(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING)
    pytester.makefile(".yaml", registrations="steps: []")
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*1 / 0*", "*crm.create(*", "*Plug-ins that ran*", "Divide (stage 20, depth 1)", "  dividing by 0"]
    )
    result.stdout.no_fnmatch_line("*pipeline.py*")
    assert "pipeline.py" in "".join(pytester.runpytest_inprocess("-q", "--full-trace").outlines)


def test_a_crm_fixture_of_ones_own_gets_no_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n\n@pytest.fixture\ndef crm(): return 7\n\ndef test_it(crm): assert crm == 8\n")
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*Plug-ins that ran*")


def test_the_clock_goes_to_a_date_of_some_time_zone(clock: ManualClock) -> None:
    clock.move_to(datetime(2026, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=1))))
    assert clock.now() == datetime(2026, 12, 31, 22, 59, tzinfo=UTC)
    with pytest.raises(ValueError, match="no time zone"):
        clock.move_to(datetime(2026, 12, 31))  # noqa: DTZ001 - that is what is refused


def test_a_table_nobody_knows_is_named_and_the_one_that_was_meant(crm: Crm) -> None:
    for act in (crm.create, crm.find):
        with pytest.raises(EntityNotFound, match=r"'acount'.*Did you mean 'account'"):
            act("acount", name="Contoso")


def test_finding_rows_by_a_customer_creates_no_customer(crm: Crm) -> None:
    payment = crm.create("new_payment", PAYMENT, customer="Contoso")
    assert [row.id for row in crm.find("new_payment", customer="Contoso")] == [payment]
    with pytest.raises(RowInputError, match="'Nobody': no account or contact is called that"):
        crm.find("new_payment", customer="Nobody")
    assert [account["name"] for account in crm.find("account")] == ["Contoso"]


def test_a_column_nobody_knows_is_all_that_is_told(crm: Crm) -> None:
    account = crm.create("account", name="Contoso")
    with pytest.raises(AttributeNotFound, match="Did you mean 'name'") as raised:
        crm.retrieve("account", account, "naem")
    assert raised.value.__context__ is None


def test_an_execution_says_what_it_was(crm: Crm) -> None:
    crm.register(Step(plugin=CountRuns(), message="Create", entity="account", stage=40, name="Count"))
    crm.create("account", name="Contoso")
    assert repr(crm.executions) == "(<'Count' at stage 40, depth 1>,)"
