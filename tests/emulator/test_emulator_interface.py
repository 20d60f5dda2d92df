"""The programming interface of the embedded Dataverse."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from emulator_samples import account
from small_plugins import Do

from dataverse_client.types import Entity, OrganizationRequest, QueryExpression
from runner.emulator.custom_api import CustomApi
from runner.emulator.emulator import Emulator
from runner.emulator.errors import InvalidOperation
from runner.emulator.plugin_faults import IsvAborted, TransactionNotStarted
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, Plugin
from runner.tracing.model import Compensated, OperationFinished, OperationStarted, StepFinished, StepStarted


class Rename(Plugin):
    def execute(self, context):
        context.trace("renaming")
        context.target["name"] += "!"


class Refuse(Plugin):
    def execute(self, context):
        context.on_rollback(lambda: None)
        raise InvalidPluginExecutionException("No.")


class Sink(list):
    record = list.append


def creating(plugin, stage=20, **more):
    return Step(plugin=plugin, message="Create", entity="account", stage=stage, **more)


def test_a_plugin_is_tried_in_six_lines():
    with Emulator([creating(Rename())]) as crm:
        id = crm.service().create(account())
        assert crm.service().retrieve("account", id, ["name"])["name"] == "Contoso!"
        assert crm.executions[0].lines == ["renaming"]


def test_executions_keep_the_context_as_the_step_saw_it():
    with Emulator([creating(Rename(), 20, name="before"), creating(Rename(), 40, name="after")]) as crm:
        crm.service().create(account())
        before, after = crm.executions
    assert (before.context.stage, "createdon" in before.context.target) == (20, False)
    assert (after.context.stage, "createdon" in after.context.target) == (40, True)


def test_a_file_keeps_rows_from_one_run_to_the_next(tmp_path):
    with Emulator(database=tmp_path / "crm.db") as crm:
        id = crm.service().create(account())
    with Emulator(database=tmp_path / "crm.db") as crm:
        assert crm.service().retrieve("account", id)["name"] == "Contoso"


def test_a_file_keeps_traces_too(tmp_path):
    with Emulator([creating(Rename())], database=tmp_path / "crm.db") as crm:
        crm.service().create(account())
    with Emulator(database=tmp_path / "crm.db") as crm:
        assert len(crm.service().retrieve_multiple(QueryExpression.of("plugintracelog"))) == 1


def test_closing_twice_is_closing_once():
    crm = Emulator()
    crm.close()
    crm.close()


def test_a_snapshot_is_neither_taken_nor_restored_inside_a_transaction():
    with Emulator() as crm:
        start = crm.snapshot()
        for act in (crm.snapshot, lambda: crm.restore(start)):
            with crm.transaction(), pytest.raises(InvalidOperation, match="inside a request or transaction"):
                act()


def test_a_plugin_cannot_take_a_snapshot():
    with Emulator() as crm:
        crm.register(creating(Do(lambda context: crm.snapshot()), 40))
        with pytest.raises(InvalidOperation):
            crm.service().create(account())


def test_a_custom_api_given_after_the_snapshot_can_be_listened_to_after_restoring():
    with Emulator() as crm:
        start = crm.snapshot()
        crm.register_api(CustomApi(name="new_Close", plugin=Rename()))
        crm.restore(start)
        crm.register(Step(plugin=Rename(), message="new_Close", stage=20))
        assert [step.message for step in crm.steps if step.stage == 20] == ["new_Close"]


def test_services_are_objects_or_made_when_first_asked_for():
    made, used = [], []

    class Ask(Plugin):
        def execute(self, context):
            used.append((context.service(Decimal), context.service(list)))

    def make():
        made.append(1)
        return made

    with Emulator([creating(Ask())], services={Decimal: Decimal(7), list: make}) as crm:
        crm.service().create(account())
        crm.service().create(account())
    assert used == [(Decimal(7), made)] * 2
    assert made == [1]


def test_many_threads_are_served_one_at_a_time():
    with Emulator([creating(Rename())]) as crm:

        def work(number):
            for each in range(20):
                crm.service().create(account(f"{number} {each}"))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(crm.service().retrieve_multiple(QueryExpression.of("account"))) == 80


def test_a_failure_swallowed_inside_a_transaction_ends_it():
    with Emulator([creating(Refuse(), 40)]) as crm:

        def swallow():
            with crm.transaction():
                crm.service().create(Entity("contact", None, {"lastname": "Nancy"}))
                with pytest.raises(IsvAborted):
                    crm.service().create(account())

        with pytest.raises(TransactionNotStarted):
            swallow()
        assert len(crm.service().retrieve_multiple(QueryExpression.of("contact"))) == 0


# --- what a sink hears ----------------------------------------------------------------------------------------


def test_a_sink_hears_everything_in_order():
    sink = Sink()
    with Emulator([creating(Rename()), creating(Refuse(), 40)], sink=sink) as crm, pytest.raises(IsvAborted):
        crm.service().create(account())
    kinds = [type(record) for record in sink if type(record).__name__ != "StepTraced"]
    assert kinds == [
        OperationStarted,
        StepStarted,
        StepFinished,
        StepStarted,
        StepFinished,
        OperationFinished,
        Compensated,
    ]


def test_an_operations_records_agree():
    sink = Sink()
    with Emulator(sink=sink) as crm:
        id = crm.execute(OrganizationRequest("Create", {"Target": account()})).results["id"]
    started, finished = sink
    assert started.entity_id == finished.entity_id == id
    assert (started.message, finished.outcome, started.depth) == ("Create", "succeeded", 1)
    assert started.operation_id != started.correlation_id


def test_a_steps_changes_are_told():
    sink = Sink()
    with Emulator([creating(Rename())], sink=sink) as crm:
        crm.service().create(account())
    (finished,) = (record for record in sink if isinstance(record, StepFinished))
    assert finished.changes == {"name": ("Contoso", "Contoso!")}
    assert finished.correlation_id == sink[0].correlation_id
