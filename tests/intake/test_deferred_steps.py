"""Steps that run after the commit: what they change in Target is written back, once, whatever comes between."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest

from dataverse_client.errors import DataverseUnavailableError
from dataverse_client.types import Entity, EntityReference, OptionSetValue, OrganizationRequest
from plugins.payment_tables import PaymentStatus
from runner.execution.step import Step
from runner.intake.deferred import ROW_GONE
from runner.intake.directory import RemoteStep
from runner.intake.dispatcher import NO_STEP
from runner.intake.errors import NotYetError
from runner.intake.messages import notification_message
from runner.plugin import InvalidPluginExecutionException, OperationStatus, Plugin
from runner.remote_context.context import RemoteContext
from runner.tracing.model import Compensated, NotificationTraced, WrittenBack


def status(name):
    return OptionSetValue(PaymentStatus[name])


class Act(Plugin):
    """Does what a test says."""

    def __init__(self, act):
        super().__init__()
        object.__setattr__(self, "_act", act)

    def execute(self, context):
        self._act(context)


def a_step(act, message="Create", **facts):
    return RemoteStep(Step(plugin=Act(act), message=message, entity="new_payment", **{"stage": 20, **facts}))


def test_a_created_row_gets_its_intent_written_back(elsewhere) -> None:
    payment_id = elsewhere.create_payment("19.99")
    elsewhere.converge()
    payment = elsewhere.payment(payment_id)
    intent = elsewhere.stripe.payment_intents[payment["new_stripepaymentintentid"]]
    assert (intent["amount"], intent["metadata"]["CRM_PaymentId"]) == (1999, payment_id)
    assert payment["new_paymentstatus"] == status("PENDING")


def test_a_changed_amount_reaches_stripe(elsewhere) -> None:
    payment_id = elsewhere.create_payment("19.99")
    elsewhere.converge()
    elsewhere.update(payment_id, new_amount=elsewhere.payment(payment_id)["new_amount"].__class__(Decimal("25.00")))
    elsewhere.converge()
    assert [intent["amount"] for intent in elsewhere.open_intents()] == [2500]


def test_a_deleted_row_cancels_its_intent(elsewhere) -> None:
    payment_id = elsewhere.create_payment()
    elsewhere.converge()
    elsewhere.client.delete("new_payment", payment_id)
    elsewhere.converge()
    assert elsewhere.open_intents() == []


def test_a_notification_told_twice_is_handled_once(elsewhere) -> None:
    elsewhere.create_payment()
    told = elsewhere.notifications()
    elsewhere.notify(told * 2)
    elsewhere.work()
    assert elsewhere.stations() == ["handled"]


def test_a_repetition_the_queue_has_forgotten_changes_nothing(elsewhere) -> None:
    elsewhere.create_payment()
    told = elsewhere.notifications()
    elsewhere.notify(told)
    elsewhere.work()
    elsewhere.clock.advance(timedelta(days=8))
    elsewhere.notify(told)
    elsewhere.work()
    assert len(elsewhere.stripe.payment_intents) == 1
    assert elsewhere.stations() == ["handled", "handled"]


def test_the_write_back_sets_off_no_second_one(elsewhere) -> None:
    elsewhere.create_payment()
    elsewhere.converge()
    assert len([r for r in elsewhere.traces.records if isinstance(r, WrittenBack)]) == 1


def test_a_step_does_not_run_on_what_it_wrote_back_itself(elsewhere) -> None:
    ran = []

    def count(context):
        ran.append(context.depth)
        context.target["new_name"] = f"Run {len(ran)}"

    payment_id = elsewhere.create_payment()
    elsewhere.has_steps(a_step(count, "Update"))
    elsewhere.notifications()
    elsewhere.update(payment_id, new_receiptemail="ann@example.com")
    elsewhere.converge()
    assert (len(ran), elsewhere.payment(payment_id)["new_name"]) == (1, "Run 1")


def test_steps_that_set_each_other_off_are_stopped(elsewhere) -> None:
    def ping(context):
        context.organization.update(
            Entity("new_payment", context.primary_entity_id, {"new_name": f"{context.correlation_id} {context.depth}"})
        )

    elsewhere.has_steps(a_step(ping, "Update", stage=40))
    elsewhere.update(elsewhere.create_payment(), new_name="go")
    elsewhere.converge()
    assert [reason for reason, _ in elsewhere.dead_letters()] == ["TooDeep"]


def test_a_response_has_the_names_it_has_in_the_emulator(elsewhere) -> None:
    seen = []

    def look(context):
        target = EntityReference("new_payment", context.primary_entity_id)
        request = OrganizationRequest("Retrieve", {"Target": target, "ColumnSet": ("new_name",)})
        seen.append(set(context.organization.execute(request).results))

    elsewhere.has_steps(a_step(look, "Create", stage=40))
    elsewhere.create_payment()
    elsewhere.converge()
    assert seen == [{"Entity", "BusinessEntity"}]


def test_a_row_deleted_meanwhile_needs_nothing(elsewhere) -> None:
    payment_id = elsewhere.create_payment()
    told = elsewhere.notifications()
    elsewhere.client.delete("new_payment", payment_id)
    elsewhere.notify(told)
    elsewhere.work()
    assert elsewhere.stripe.payment_intents == {}
    assert elsewhere.stations() == ["handled"]


def test_a_row_that_changes_while_the_step_runs_is_read_again(elsewhere, monkeypatch) -> None:
    """The step of the second round finds the same intent by its idempotency key: nothing is wasted."""
    payment_id = elsewhere.create_payment()
    interrupt_once(elsewhere, monkeypatch, lambda: elsewhere.update(payment_id, new_name="Invoice 7"))
    elsewhere.converge()
    assert list(elsewhere.stripe.payment_intents) == [elsewhere.payment(payment_id)["new_stripepaymentintentid"]]


def test_what_neither_the_row_nor_the_next_run_stands_by_is_undone(elsewhere, monkeypatch) -> None:
    payment_id = elsewhere.create_payment()
    cancel = {"new_paymentstatus": status("CANCELED")}
    interrupt_once(elsewhere, monkeypatch, lambda: elsewhere.update(payment_id, **cancel))
    elsewhere.converge()
    assert [intent["status"] for intent in elsewhere.stripe.payment_intents.values()] == ["canceled"]
    assert "new_stripepaymentintentid" not in elsewhere.payment(payment_id)
    assert any(isinstance(record, Compensated) for record in elsewhere.traces.records)


def test_a_twin_that_wrote_first_is_not_undone(elsewhere, monkeypatch) -> None:
    """Two workers have the same message, because a lock ran out: both find the same intent, one writes it."""
    payment_id = elsewhere.create_payment()
    told = RemoteContext.decode(elsewhere.notifications()[0])
    create = elsewhere.dispatcher._directory.matching(told.context)[0].step
    interrupt_once(elsewhere, monkeypatch, lambda: elsewhere.deferred.run(create, told))
    elsewhere.deferred.run(create, told)
    assert [intent["id"] for intent in elsewhere.open_intents()] == [
        elsewhere.payment(payment_id)["new_stripepaymentintentid"]
    ]


def interrupt_once(elsewhere, monkeypatch, what_happens) -> None:
    """Between a step's run and its write-back, once, something happens to the row."""
    write, pending = elsewhere.rows.write_back, [what_happens]

    def interrupted(*arguments):
        if pending:
            pending.pop()()
        write(*arguments)

    monkeypatch.setattr(elsewhere.rows, "write_back", interrupted)


def test_what_every_run_did_is_undone_when_the_row_keeps_changing(elsewhere, monkeypatch) -> None:
    """Given a step that sets another value in each run, and a row that changes before each write-back."""
    undone = []
    step, told = a_step_with_rollback(elsewhere, undone, "Run {}".format)
    interrupt_always(elsewhere, monkeypatch, lambda run: elsewhere.update(told.row_id, new_receiptemail=f"{run}@x.com"))
    with pytest.raises(NotYetError, match="keeps changing"):
        elsewhere.deferred.run(step, told.context)
    assert undone == [1, 2, 3]


def test_what_the_next_run_stands_by_is_undone_once_when_the_row_keeps_changing(elsewhere, monkeypatch) -> None:
    """Given a step that finds in each run what the first one made, such as an intent by its idempotency key."""
    undone = []
    step, told = a_step_with_rollback(elsewhere, undone, lambda run: "The same")
    interrupt_always(elsewhere, monkeypatch, lambda run: elsewhere.update(told.row_id, new_receiptemail=f"{run}@x.com"))
    with pytest.raises(NotYetError, match="keeps changing"):
        elsewhere.deferred.run(step, told.context)
    assert undone == [3]


def test_what_a_step_did_for_a_row_that_is_deleted_meanwhile_is_undone(elsewhere, monkeypatch) -> None:
    undone = []
    step, told = a_step_with_rollback(elsewhere, undone, "Run {}".format)
    interrupt_always(elsewhere, monkeypatch, lambda run: elsewhere.client.delete("new_payment", told.row_id))
    assert elsewhere.deferred.run(step, told.context) == ROW_GONE
    assert undone == [1]


@dataclass(frozen=True, slots=True)
class Told:
    context: RemoteContext
    row_id: str


def a_step_with_rollback(elsewhere, undone, name_of_run) -> tuple[Step, Told]:
    """A step that names the row after its run, and the creation it is to be run for."""
    runs = count(1)

    def act(context):
        run = next(runs)
        context.target["new_name"] = name_of_run(run)
        context.on_rollback(lambda: undone.append(run))

    row_id = elsewhere.create_payment()
    return a_step(act).step, Told(RemoteContext.decode(elsewhere.notifications()[0]), row_id)


def interrupt_always(elsewhere, monkeypatch, what_happens) -> None:
    """Between each of a step's runs and its write-back, something happens to the row."""
    write, runs = elsewhere.rows.write_back, count(1)

    def interrupted(*arguments):
        what_happens(next(runs))
        write(*arguments)

    monkeypatch.setattr(elsewhere.rows, "write_back", interrupted)


def test_what_may_have_been_written_is_not_undone(elsewhere, monkeypatch) -> None:
    """Given changes that reached the row, and an answer that did not come back."""
    write = elsewhere.rows.write_back

    def unanswered(*arguments):
        write(*arguments)
        raise DataverseUnavailableError("The connection was reset.")

    payment_id = elsewhere.create_payment()
    monkeypatch.setattr(elsewhere.rows, "write_back", unanswered)
    elsewhere.notify()
    elsewhere.work()
    written = elsewhere.payment(payment_id)["new_stripepaymentintentid"]
    assert [intent["id"] for intent in elsewhere.open_intents()] == [written]


def test_a_trimmed_notification_is_completed_from_the_row(elsewhere) -> None:
    payment_id = elsewhere.create_payment("19.99")
    [told] = elsewhere.notifications()
    remote = RemoteContext.decode(told).trimmed()
    elsewhere.queue.send([notification_message(remote.encode(), remote)])
    elsewhere.work()
    assert elsewhere.open_intents()[0]["metadata"]["CRM_PaymentId"] == payment_id


def test_a_refusal_after_the_commit_is_set_aside_with_its_words(elsewhere) -> None:
    elsewhere.create_payment("0.10")
    elsewhere.converge()
    [(reason, description)] = elsewhere.dead_letters()
    assert reason == "RefusedByPlugin"
    assert "0.50" in description


def test_what_a_refused_step_did_is_undone(elsewhere) -> None:
    undone = []

    def refuse(context):
        context.on_rollback(lambda: undone.append("first"))
        context.on_rollback(lambda: undone.append("last"))
        raise InvalidPluginExecutionException("No.")

    elsewhere.has_steps(a_step(refuse))
    elsewhere.create_payment()
    elsewhere.converge()
    assert undone == ["last", "first"]


@pytest.mark.parametrize(
    "error",
    [InvalidPluginExecutionException("Busy.", status=OperationStatus.RETRY), RuntimeError("A bug.")],
    ids=["asked to come again", "crashed"],
)
def test_what_may_pass_comes_again_and_is_set_aside_in_the_end(elsewhere, error) -> None:
    calls = []

    def fail(context):
        calls.append(context.message_name)
        raise error

    elsewhere.has_steps(a_step(fail))
    elsewhere.create_payment()
    elsewhere.notify()
    for _ in range(20):
        elsewhere.work()
        elsewhere.clock.advance(timedelta(minutes=20))
    assert len(calls) == 15
    assert len(elsewhere.dead_letters()) == 1


def test_a_bug_is_set_aside_with_its_class_and_line(elsewhere) -> None:
    elsewhere.has_steps(a_step(lambda context: {}["new_name"]))
    elsewhere.create_payment()
    elsewhere.notify()
    for _ in range(20):
        elsewhere.work()
        elsewhere.clock.advance(timedelta(minutes=20))
    [(reason, description)] = elsewhere.dead_letters()
    assert reason == "PluginFailed"
    assert re.fullmatch(r"KeyError: 'new_name' \(test_deferred_steps\.py:\d+\)", description)


def test_a_crm_that_is_away_makes_no_dead_letters(elsewhere, monkeypatch) -> None:
    def away(*_):
        raise DataverseUnavailableError("Nobody answers.")

    elsewhere.create_payment()
    elsewhere.notify()
    with monkeypatch.context() as outage:
        outage.setattr(elsewhere.rows, "read", away)
        for _ in range(30):
            elsewhere.work()
            elsewhere.clock.advance(timedelta(minutes=20))
    elsewhere.work()
    assert (elsewhere.dead_letters(), len(elsewhere.open_intents())) == ([], 1)


def test_what_is_no_notification_is_set_aside(elsewhere) -> None:
    [told] = elsewhere.create_payment() and elsewhere.notifications()
    message = notification_message(told, RemoteContext.decode(told))
    elsewhere.queue.send([replace(message, body=b"<xml/>")])
    elsewhere.work()
    assert [reason for reason, _ in elsewhere.dead_letters()] == ["InvalidNotification"]


def test_what_no_step_is_registered_for_is_told_and_done(elsewhere) -> None:
    elsewhere.has_steps(a_step(lambda _: None, "Delete"))
    elsewhere.create_payment()
    elsewhere.converge()
    [record] = [r for r in elsewhere.traces.records if isinstance(r, NotificationTraced)]
    assert (record.station, record.detail) == ("handled", NO_STEP)


def test_a_step_after_the_operation_changes_no_target(elsewhere) -> None:
    def change(context):
        context.target["new_name"] = "changed too late"

    elsewhere.has_steps(a_step(change, stage=40))
    payment_id = elsewhere.create_payment()
    elsewhere.converge()
    assert elsewhere.payment(payment_id)["new_name"] == "Invoice 7"


def test_a_message_without_a_target_row_needs_none(elsewhere) -> None:
    """A custom API's, or Associate."""
    calls = []
    step = RemoteStep(Step(plugin=Act(lambda context: calls.append(context.message_name)), message="new_Go", stage=20))
    elsewhere.has_steps(step)
    body = b'{"MessageName": "new_Go", "PrimaryEntityName": "none", "Stage": 40, "Mode": 1}'
    elsewhere.queue.send([notification_message(body, RemoteContext.decode(body))])
    elsewhere.work()
    assert (calls, elsewhere.stations()) == (["new_Go"], ["handled"])
