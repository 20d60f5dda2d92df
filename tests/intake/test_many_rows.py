"""CreateMultiple and UpdateMultiple: what a plug-in changes in each of Targets is written to that row alone."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from azure_bridge.queues.contract import QueueMessage
from dataverse_client.types import EMPTY_GUID, Entity, EntityCollection, EntityReference, new_guid
from runner.execution.step import Step
from runner.intake.directory import RemoteStep, StepDirectory
from runner.intake.messages import notification_messages
from runner.intake.notification_trace import NotificationTrace
from runner.intake.targets import row_by_row
from runner.intake.webhook import Reply, WebhookIntake
from runner.plugin import (
    INERT_HOST,
    Caller,
    InvalidPluginExecutionException,
    MessageOperation,
    Organization,
    Plugin,
    PluginContext,
)
from runner.remote_context.context import RemoteContext


class Describe(Plugin):
    """Works for any number of rows, as a plug-in on these messages has to. Bad rows are refused."""

    def execute(self, context):
        for row in context.input_parameters["Targets"]:
            if row["new_name"] == "bad":
                raise InvalidPluginExecutionException("This is a bad row.")
            row["new_failuremessage"] = f"About {row['new_name']}"


def a_step(message: str, plugin: Plugin | None = None, *, inline: bool = False) -> RemoteStep:
    return RemoteStep(Step(plugin=plugin or Describe(), message=message, entity="new_payment", stage=20), inline)


@pytest.fixture
def make(elsewhere):
    """Rows that are there, by the names they have."""
    return lambda *names: [elsewhere.create_payment(new_name=name, new_failuremessage=None) for name in names]


def told(elsewhere, message: str, rows: list[Entity], *, inside: bool = False, ids: list[str] | None = None) -> bytes:
    operation = MessageOperation(
        organization=Organization(
            organization_id=elsewhere.crm.organization.organization_id, organization_name="contoso"
        ),
        caller=Caller(initiating_user_id=elsewhere.crm.administrator_id),
        message_name=message,
        primary_entity_name="new_payment",
        primary_entity_id=EMPTY_GUID,
        input_parameters={"Targets": EntityCollection(rows, "new_payment")},
        output_parameters={} if ids is None else {"Ids": ids},
        operation_id=new_guid(),
        correlation_id=new_guid(),
    )
    context = PluginContext(
        operation,
        INERT_HOST,
        stage=20 if inside else 40,
        mode=0 if inside else 1,
        owning_extension=EntityReference("sdkmessageprocessingstep", new_guid()),
        user_id=elsewhere.crm.administrator_id,
        is_in_transaction=inside,
        shared_variables={},
    )
    return RemoteContext.of(context).encode()


def named(row_ids: list[str | None], *names: str) -> list[Entity]:
    return [Entity("new_payment", row_id, {"new_name": name}) for row_id, name in zip(row_ids, names, strict=True)]


def descriptions(elsewhere, ids: list[str]) -> list[str | None]:
    return [elsewhere.payment(row_id).get("new_failuremessage") for row_id in ids]


def test_each_row_gets_what_was_changed_in_it(elsewhere, make) -> None:
    ids = make("tea", "milk", "sugar")
    elsewhere.has_steps(a_step("UpdateMultiple"))
    elsewhere.notify([told(elsewhere, "UpdateMultiple", named(ids, "tea", "milk", "sugar"))])
    elsewhere.work()
    assert descriptions(elsewhere, ids) == ["About tea", "About milk", "About sugar"]


def test_created_rows_are_known_by_the_ids_that_were_given_to_them(elsewhere, make) -> None:
    ids = make("tea", "milk")
    elsewhere.has_steps(a_step("CreateMultiple"))
    elsewhere.notify([told(elsewhere, "CreateMultiple", named([None, None], "tea", "milk"), ids=ids)])
    elsewhere.work()
    assert descriptions(elsewhere, ids) == ["About tea", "About milk"]


def test_one_refused_row_keeps_no_other_from_being_written(elsewhere, make) -> None:
    ids = make("tea", "bad", "sugar")
    elsewhere.has_steps(a_step("UpdateMultiple"))
    elsewhere.notify([told(elsewhere, "UpdateMultiple", named(ids, "tea", "bad", "sugar"))])
    elsewhere.work()
    assert descriptions(elsewhere, ids) == ["About tea", None, "About sugar"]
    assert elsewhere.dead_letters() == [("RefusedByPlugin", "This is a bad row.")]


def test_a_repeated_notification_makes_one_message_for_each_row(elsewhere, make) -> None:
    elsewhere.has_steps(a_step("UpdateMultiple"))
    body = told(elsewhere, "UpdateMultiple", named(make("tea", "milk"), "tea", "milk"))
    elsewhere.notify([body, body])
    assert elsewhere.queue.counts().active == 2


def test_what_dataverse_itself_put_on_the_queue_is_taken_row_by_row(elsewhere, make) -> None:
    ids = make("tea", "milk")
    elsewhere.has_steps(a_step("UpdateMultiple"))
    body = told(elsewhere, "UpdateMultiple", named(ids, "tea", "milk"))
    elsewhere.queue.send([QueueMessage(body, "an id of Service Bus")])
    elsewhere.work()
    assert descriptions(elsewhere, ids) == ["About tea", "About milk"]


def test_a_row_without_an_id_is_set_aside(elsewhere) -> None:
    elsewhere.has_steps(a_step("CreateMultiple"))
    elsewhere.notify([told(elsewhere, "CreateMultiple", named([None], "tea"))])
    elsewhere.work()
    [(reason, description)] = elsewhere.dead_letters()
    assert reason == "InvalidNotification"
    assert "Register the step on Create or Update" in description


def test_each_row_keeps_what_nobody_knows_the_meaning_of(elsewhere) -> None:
    ids = [new_guid(), new_guid()]
    document = json.loads(told(elsewhere, "UpdateMultiple", named(ids, "tea", "milk")))
    document["FutureMember"] = {"deep": [1]}
    document["InputParameters"][0]["value"]["Entities"][1]["FutureColumn"] = "kept"
    parts = row_by_row(RemoteContext.decode(json.dumps(document).encode()))
    assert [part.context.primary_entity_id for part in parts] == ids
    assert [part.document["FutureMember"] for part in parts] == [{"deep": [1]}] * 2
    [entity] = parts[1].document["InputParameters"][0]["value"]["Entities"]
    assert entity["FutureColumn"] == "kept"


# --- while Dataverse waits ------------------------------------------------------------------------------------


@pytest.fixture
def answer(elsewhere):
    """What a synchronous webhook is answered."""

    def answer(step: RemoteStep, body: bytes) -> Reply:
        elsewhere.has_steps(step)
        trace = NotificationTrace(elsewhere.traces, elsewhere.clock)
        intake = WebhookIntake(StepDirectory([step]), elsewhere.inline, elsewhere.queue, trace)
        return intake.answer(intake.read(body))

    return answer


def test_inline_each_row_is_written_after_the_commit(elsewhere, make, answer) -> None:
    ids = make("tea", "milk")
    body = told(elsewhere, "UpdateMultiple", named(ids, "tea", "milk"), inside=True)
    assert answer(a_step("UpdateMultiple", inline=True), body).status == 200
    assert descriptions(elsewhere, ids) == [None, None]
    elsewhere.work()
    assert descriptions(elsewhere, ids) == ["About tea", "About milk"]


def test_inline_one_bad_row_is_a_veto_of_all(elsewhere, make, answer) -> None:
    body = told(elsewhere, "UpdateMultiple", named(make("tea", "bad"), "tea", "bad"), inside=True)
    assert answer(a_step("UpdateMultiple", inline=True), body) == Reply(400, "This is a bad row.")
    assert elsewhere.queue.counts().active == 0


def test_inline_a_row_nobody_could_find_again_is_a_veto(elsewhere, answer) -> None:
    body = told(elsewhere, "CreateMultiple", named([None], "tea"), inside=True)
    reply = answer(a_step("CreateMultiple", inline=True), body)
    assert reply.status == 400
    assert "names no row" in reply.text


class Reserve(Plugin):
    """Keeps a note of each row outside CRM, and takes it back when it is told to."""

    def __init__(self, notes: set[str]) -> None:
        super().__init__()
        object.__setattr__(self, "_notes", notes)

    def execute(self, context):
        for row in context.input_parameters["Targets"]:
            self._notes.add(row.id)
            context.on_rollback(lambda row_id=row.id: self._notes.discard(row_id))


def test_inline_what_was_rolled_back_is_undone_row_by_row(elsewhere, answer) -> None:
    notes: set[str] = set()
    ids = [new_guid(), new_guid()]
    body = told(elsewhere, "CreateMultiple", named(ids, "tea", "milk"), inside=True)
    assert answer(a_step("CreateMultiple", Reserve(notes), inline=True), body).status == 200
    assert notes == set(ids)
    for _ in range(40):
        elsewhere.clock.advance(timedelta(minutes=1))
        elsewhere.work()
    assert notes == set()


def test_a_message_of_ones_own_with_targets_stays_whole(elsewhere) -> None:
    body = told(elsewhere, "new_Tidy", named([new_guid(), new_guid()], "tea", "milk"))
    assert [message.body for message in notification_messages(body, RemoteContext.decode(body))] == [body]


@pytest.mark.parametrize("ids", [7, "x", [7], ["x"], [None, None], [[]]])
def test_ids_that_are_none_name_no_rows(elsewhere, ids) -> None:
    document = json.loads(told(elsewhere, "CreateMultiple", named([None], "tea")))
    document["OutputParameters"] = [{"key": "Ids", "value": ids}, {"key": "Targets", "value": 7}]
    [part] = row_by_row(RemoteContext.decode(json.dumps(document).encode()))
    assert part.context.primary_entity_id == EMPTY_GUID
