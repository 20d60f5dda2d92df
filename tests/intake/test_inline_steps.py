"""Steps that run while Dataverse waits: they veto, and what they leave is done after the commit, or undone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from small_plugins import Do

from dataverse_client.types import Entity, EntityReference, Money, new_guid
from plugins.payment_intents import CreatePaymentIntent, UpdatePaymentIntent
from runner.execution.step import Image, Step
from runner.intake.directory import RemoteStep, StepDirectory
from runner.intake.inline import PATIENCE
from runner.intake.notification_trace import NotificationTrace
from runner.intake.webhook import Notice, WebhookIntake
from runner.plugin import (
    INERT_HOST,
    Caller,
    InvalidPluginExecutionException,
    MessageOperation,
    OperationStatus,
    Organization,
    Plugin,
    PluginContext,
)
from runner.remote_context.context import RemoteContext

CREATE = RemoteStep(
    Step(plugin=CreatePaymentIntent(), message="Create", entity="new_payment", stage=20, name="create"), inline=True
)
UPDATE = RemoteStep(
    Step(
        plugin=UpdatePaymentIntent(),
        message="Update",
        entity="new_payment",
        stage=20,
        name="update",
        images=(Image("before"),),
    ),
    inline=True,
)


class Fail(Plugin):
    def __init__(self, error):
        super().__init__()
        object.__setattr__(self, "_error", error)

    def execute(self, context):
        raise self._error


@pytest.fixture
def intake(elsewhere):
    elsewhere.has_steps(CREATE, UPDATE)

    def made(*steps, **options):
        directory = StepDirectory(steps or (CREATE, UPDATE))
        return WebhookIntake(
            directory,
            elsewhere.inline,
            elsewhere.queue,
            NotificationTrace(elsewhere.traces, elsewhere.clock),
            **options,
        )

    return made


def told_inside(elsewhere, message, row: Entity, before: Entity | None = None, tag: str | None = None) -> bytes:
    """What a synchronous webhook at stage 20 is told, the transaction being open."""
    operation = MessageOperation(
        organization=Organization(
            organization_id=elsewhere.crm.organization.organization_id, organization_name="contoso"
        ),
        caller=Caller(initiating_user_id=elsewhere.crm.administrator_id),
        message_name=message,
        primary_entity_name=row.logical_name,
        primary_entity_id=row.id,
        input_parameters={"Target": row},
        operation_id=new_guid(),
        correlation_id=new_guid(),
    )
    context = PluginContext(
        operation,
        INERT_HOST,
        stage=20,
        mode=0,
        owning_extension=EntityReference("sdkmessageprocessingstep", new_guid()),
        user_id=elsewhere.crm.administrator_id,
        is_in_transaction=True,
        shared_variables={"tag": tag} if tag else {},
        pre_entity_images={"before": before} if before else {},
    )
    return RemoteContext.of(context).encode()


def a_payment(elsewhere, amount="19.99") -> Entity:
    usd = elsewhere.client.retrieve_multiple(_usd())[0].to_entity_reference()
    columns = {"new_name": "Invoice 7", "new_amount": Money(Decimal(amount)), "transactioncurrencyid": usd}
    return Entity("new_payment", new_guid(), columns)


def _usd():
    from dataverse_client.types import QueryExpression

    return QueryExpression.of("transactioncurrency", "isocurrencycode", where={"isocurrencycode": "USD"})


def answer(intake, body):
    notice = intake.read(body)
    assert isinstance(notice, Notice)
    assert notice.inline
    return intake.answer(notice)


def test_the_changes_to_target_are_written_once_the_row_is_there(elsewhere, intake) -> None:
    row = a_payment(elsewhere)
    reply = answer(intake(), told_inside(elsewhere, "Create", row))
    elsewhere.client.create(row)
    elsewhere.work()
    assert reply.status == 200
    assert [intent["id"] for intent in elsewhere.open_intents()] == [
        elsewhere.payment(row.id)["new_stripepaymentintentid"]
    ]


def test_a_transaction_that_takes_its_time_is_waited_for(elsewhere, intake) -> None:
    row = a_payment(elsewhere)
    answer(intake(), told_inside(elsewhere, "Create", row))
    elsewhere.work()
    elsewhere.client.create(row)
    elsewhere.clock.advance(timedelta(seconds=1))
    elsewhere.work()
    assert len(elsewhere.open_intents()) == 1
    assert elsewhere.stations() == ["answered", "retry later", "handled"]


def test_a_row_that_never_appears_leaves_no_intent(elsewhere, intake) -> None:
    """Nothing of the process that answered is needed: the message alone leads to the undoing."""
    answer(intake(), told_inside(elsewhere, "Create", a_payment(elsewhere)))
    time_passes(elsewhere)
    assert [intent["status"] for intent in elsewhere.stripe.payment_intents.values()] == ["canceled"]


class Killed(BaseException):
    """What nobody can catch who is dead."""


class DieAfterStripeHasAnswered(CreatePaymentIntent):
    def execute(self, context):
        super().execute(context)
        raise Killed


def test_a_step_killed_in_the_middle_leaves_no_intent(elsewhere, intake) -> None:
    """Given a process that does not live to say what it did, and another one to find that it had begun."""
    dying = RemoteStep(replace(CREATE.step, plugin=DieAfterStripeHasAnswered()), inline=True)
    with pytest.raises(Killed):
        answer(intake(dying), told_inside(elsewhere, "Create", a_payment(elsewhere)))
    assert len(elsewhere.open_intents()) == 1
    elsewhere.work()
    elsewhere.clock.advance(PATIENCE)
    elsewhere.work()
    assert (elsewhere.open_intents(), elsewhere.dead_letters()) == ([], [])


def test_only_for_a_new_row_is_it_queued_that_a_step_has_begun(elsewhere, intake) -> None:
    """A row that was there before proves nothing of the transaction."""
    row_id = elsewhere.create_payment()
    sent = Entity("new_payment", row_id, {"new_amount": Money(Decimal("25.00"))})
    answer(intake(), told_inside(elsewhere, "Update", sent, elsewhere.payment(row_id)))
    assert elsewhere.queue.counts().active == 1
    answer(intake(), told_inside(elsewhere, "Create", a_payment(elsewhere)))
    assert elsewhere.queue.counts().active == 3


def test_what_was_answered_is_not_taken_for_abandoned(elsewhere, intake) -> None:
    """Neither for a row that stays nor for one that is deleted soon after, which would be asked for anew."""
    rows = [a_payment(elsewhere), a_payment(elsewhere)]
    for row in rows:
        answer(intake(), told_inside(elsewhere, "Create", row))
        elsewhere.client.create(row)
    elsewhere.work()
    elsewhere.client.delete("new_payment", rows[1].id)
    time_passes(elsewhere)
    assert len(elsewhere.stripe.payment_intents) == 2
    assert elsewhere.stations() == ["answered", "answered", "handled", "handled"]


def test_a_veto_asked_for_again_is_still_nothing_to_undo(elsewhere, intake) -> None:
    answer(intake(), told_inside(elsewhere, "Create", a_payment(elsewhere, "0.10")))
    time_passes(elsewhere)
    assert (elsewhere.stripe.payment_intents, elsewhere.dead_letters()) == ({}, [])


def test_a_step_that_goes_nowhere_needs_no_queue(elsewhere, intake) -> None:
    veto = Fail(InvalidPluginExecutionException("No."))
    step = RemoteStep(Step(plugin=veto, message="Create", entity="new_payment", stage=20), inline=True)
    elsewhere.queue.close()
    assert answer(intake(step), told_inside(elsewhere, "Create", a_payment(elsewhere))).status == 400


def time_passes(elsewhere) -> None:
    """Enough for all that waits; and then nothing waits any more."""
    for _ in range(12):
        elsewhere.work()
        elsewhere.clock.advance(timedelta(minutes=2))
    assert elsewhere.queue.counts().active == elsewhere.queue.counts().scheduled == 0


def test_a_written_change_is_not_written_again_when_the_message_comes_twice(elsewhere, intake) -> None:
    row = a_payment(elsewhere)
    answer(intake(), told_inside(elsewhere, "Create", row))
    elsewhere.client.create(row)
    [message] = elsewhere.queue.receive(1)
    elsewhere.dispatcher.handle(message)
    elsewhere.update(row.id, new_paymentstatus=None)
    elsewhere.dispatcher.handle(message)
    assert elsewhere.payment(row.id).get("new_paymentstatus") is None


def test_an_update_rolled_back_leaves_the_amount_as_it_was(elsewhere, intake) -> None:
    row = a_payment(elsewhere, "19.99")
    answer(intake(), told_inside(elsewhere, "Create", row))
    elsewhere.client.create(row)
    elsewhere.work()
    raised = Entity("new_payment", row.id, {"new_amount": Money(Decimal("25.00"))})
    answer(intake(), told_inside(elsewhere, "Update", raised, elsewhere.payment(row.id)))
    assert elsewhere.open_intents()[0]["amount"] == 2500
    time_passes(elsewhere)
    assert [intent["amount"] for intent in elsewhere.open_intents()] == [1999]


def test_a_text_that_was_emptied_shows_as_committed(elsewhere, intake) -> None:
    """Dataverse keeps an empty text as no value."""
    row_id = elsewhere.create_payment()
    before = elsewhere.payment(row_id)
    sent = Entity("new_payment", row_id, {"new_amount": Money(Decimal("25.00")), "new_name": ""})
    answer(intake(), told_inside(elsewhere, "Update", sent, before))
    elsewhere.client.update(sent)
    elsewhere.work()
    assert elsewhere.stations()[-1] == "handled"
    assert [intent["amount"] for intent in elsewhere.open_intents()] == [2500]


def test_a_veto_is_a_400_in_the_plugins_own_words(elsewhere, intake) -> None:
    reply = answer(intake(), told_inside(elsewhere, "Create", a_payment(elsewhere, "0.10")))
    assert reply.status == 400
    assert "0.50" in reply.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidPluginExecutionException("Busy.", status=OperationStatus.RETRY), 503),
        (RuntimeError("A bug."), 400),
    ],
)
def test_dataverse_is_asked_to_try_again_only_when_that_may_help(elsewhere, intake, error, status) -> None:
    step = RemoteStep(Step(plugin=Fail(error), message="Create", entity="new_payment", stage=20), inline=True)
    assert answer(intake(step), told_inside(elsewhere, "Create", a_payment(elsewhere))).status == status


def test_a_veto_undoes_what_the_steps_before_it_did(elsewhere, intake) -> None:
    veto = Fail(InvalidPluginExecutionException("No."))
    last = RemoteStep(Step(plugin=veto, message="Create", entity="new_payment", stage=20, rank=2), inline=True)
    reply = answer(intake(CREATE, last), told_inside(elsewhere, "Create", a_payment(elsewhere)))
    assert (reply.status, reply.text) == (400, "No.")
    assert [intent["status"] for intent in elsewhere.stripe.payment_intents.values()] == ["canceled"]


def test_what_several_steps_did_is_undone_last_first(elsewhere, intake) -> None:
    undone = []

    def undoing(name, rank):
        work = Do(lambda context: context.on_rollback(lambda: undone.append(name)))
        return RemoteStep(
            Step(plugin=work, message="Create", entity="new_payment", stage=20, name=name, rank=rank), inline=True
        )

    failing = Step(plugin=Fail(ValueError()), message="Create", entity="new_payment", stage=20, name="fail", rank=3)
    steps = undoing("first", 1), undoing("second", 2), RemoteStep(failing, inline=True)
    reply = answer(intake(*steps), told_inside(elsewhere, "Create", a_payment(elsewhere)))
    assert (reply.status, undone) == (400, ["second", "first"])


def test_without_a_queue_nothing_is_let_through_and_nothing_remains(elsewhere, intake, monkeypatch) -> None:
    from azure_bridge.queues.contract import QueueUnavailableError

    def away(_):
        raise QueueUnavailableError("The disk is full.")

    monkeypatch.setattr(elsewhere.queue, "send", away)
    assert answer(intake(), told_inside(elsewhere, "Create", a_payment(elsewhere))).status == 503
    assert elsewhere.open_intents() == []


def test_a_step_is_not_run_on_its_own_write_back(elsewhere, intake) -> None:
    veto = RemoteStep(Step(plugin=Fail(RuntimeError()), message="Create", entity="new_payment", stage=20), inline=True)
    own = told_inside(elsewhere, "Create", a_payment(elsewhere), tag=f"runner:2:{veto.step.id}")
    anothers = told_inside(elsewhere, "Create", a_payment(elsewhere), tag=f"runner:2:{new_guid()}")
    assert [answer(intake(veto), body).status for body in (own, anothers)] == [200, 400]


def test_an_endless_chain_is_vetoed(elsewhere, intake) -> None:
    reply = answer(intake(), told_inside(elsewhere, "Create", a_payment(elsewhere), tag="runner:9"))
    assert (reply.status, "chain" in reply.text) == (400, True)


class Reserve(Plugin):
    """Does something elsewhere once, and takes it back on a rollback."""

    def __init__(self):
        super().__init__()
        self.reserved = set()

    def execute(self, context):
        self.reserved.add(context.primary_entity_id)
        context.on_rollback(lambda: self.reserved.discard(context.primary_entity_id))


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_deletion_is_committed_when_the_row_is_gone(elsewhere, intake, is_committed) -> None:
    plugin = Reserve()
    step = RemoteStep(Step(plugin=plugin, message="Delete", entity="new_payment", stage=20), inline=True)
    elsewhere.has_steps(step)
    row_id = elsewhere.create_payment()
    answer(intake(step), told_inside(elsewhere, "Delete", EntityReference("new_payment", row_id)))
    if is_committed:
        elsewhere.client.delete("new_payment", row_id)
    time_passes(elsewhere)
    assert plugin.reserved == ({row_id} if is_committed else set())
