"""``runner queue`` as an operator uses it: on the embedded queues and on Service Bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from azure_bridge.payment_event import PaymentEvent
from azure_bridge.queues import open_queue
from azure_bridge.queues.contract import MessageQueue, QueueMessage
from azure_bridge.receiver import message_for
from dataverse_client.types import Entity, EntityReference, Money, OrganizationService, new_guid
from runner.cli.main import runner
from runner.emulator.emulator import Emulator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of its own, and nothing else configured."""
    for variable in ("DATAVERSE_URL", "SERVICEBUS_CONNECTION_STRING", "SERVICEBUS_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RUNNER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RUNNER_REGISTRATIONS", str(ROOT / "registrations.yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["embedded", "service bus"])
def queue(request: pytest.FixtureRequest, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MessageQueue]:
    """The queue ``payment-events``, where the command will find it."""
    connection_string = None
    if request.param == "service bus":
        broker = request.getfixturevalue("start_broker")()
        broker.add_queue("payment-events")
        broker.add_queue("dataverse-events")
        connection_string = broker.connection_string
        monkeypatch.setenv("SERVICEBUS_CONNECTION_STRING", connection_string)
    opened = open_queue("payment-events", directory=data, connection_string=connection_string)
    with closing(opened):
        yield opened


@pytest.fixture
def embedded(data: Path) -> Iterator[MessageQueue]:
    with closing(open_queue("payment-events", directory=data)) as opened:
        yield opened


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(runner, ["queue", *arguments], input=typed)


def answer(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def dead(queue: MessageQueue, message_id: str, reason: str = "RowNotFound", **facts: Any) -> int:
    queue.send([QueueMessage(body=b'{"event_id": "evt"}', message_id=message_id, **facts)])
    (held,) = queue.receive(1, timedelta(seconds=60))
    queue.dead_letter(held, reason, f"{message_id} found no row.")
    return held.sequence_number


def dead_ids(queue: MessageQueue) -> list[str]:
    return [one.message.message_id for one in queue.peek(dead_letters=True)]


# --- on both engines ---------------------------------------------------------------------------------------


def test_from_the_dead_letter_to_the_second_chance(queue: MessageQueue) -> None:
    number = dead(queue, "evt_1")
    listed = run("dead-letters").output
    assert all(text in listed for text in (str(number), "evt_1", "RowNotFound", "evt_1 found no row."))
    sent_again = run("resubmit", str(number))
    assert (sent_again.exit_code, "evt_1 → evt_1:resubmit-1" in sent_again.output) == (0, True)
    assert [one["message_id"] for one in answer("peek")] == ["evt_1:resubmit-1"]
    assert answer("dead-letters") == []


def test_the_queues_are_counted(queue: MessageQueue) -> None:
    dead(queue, "evt_1")
    queue.send([QueueMessage(body=b"{}", message_id="evt_2")])
    payments, dataverse = answer("list")
    assert (payments["queue"], payments["active"], payments["dead_lettered"]) == ("payment-events", 1, 1)
    assert (dataverse["queue"], dataverse["active"], dataverse["dead_lettered"]) == ("dataverse-events", 0, 0)


def test_some_are_discarded_by_their_reason(queue: MessageQueue) -> None:
    for message_id, reason in (("evt_1", "RowNotFound"), ("evt_2", "InvalidMessage"), ("evt_3", "RowNotFound")):
        dead(queue, message_id, reason)
    assert run("discard", "--reason", "rownotfound", "--yes").exit_code == 0
    assert dead_ids(queue) == ["evt_2"]


# --- looking -----------------------------------------------------------------------------------------------


def test_one_message_is_shown_whole(embedded: MessageQueue) -> None:
    number = dead(embedded, "evt_1", correlation_id="c-1", application_properties={"Source": "stripe"})
    for which in (str(number), "evt_1"):
        shown = answer("show", which)
        assert shown["body"] == {"event_id": "evt"}
        assert shown["correlation_id"] == "c-1"
        assert shown["application_properties"] == {"Source": "stripe"}
        assert shown["dead_letter_reason"] == "RowNotFound"


def test_a_body_that_is_no_json_is_shown_as_text(embedded: MessageQueue) -> None:
    embedded.send([QueueMessage(body=b"caf\xe9 [bold]", message_id="evt_1")])
    assert "caf\\xe9 [bold]" in run("show", "evt_1").output


def test_a_message_that_is_not_there_cannot_be_shown(embedded: MessageQueue) -> None:
    result = run("show", "evt_9")
    assert (result.exit_code, "has no message evt_9" in result.output) == (1, True)


@pytest.mark.parametrize("digits", [19, 20, 5000])
def test_a_number_that_no_message_can_have_is_not_there(queue: MessageQueue, digits: int) -> None:
    number = "9" * digits
    result = run("show", number)
    assert (result.exit_code, f"has no message {number}" in result.output) == (1, True)


def test_a_number_that_no_message_can_have_keeps_none_of_the_others_back(queue: MessageQueue) -> None:
    result = run("discard", str(dead(queue, "evt_1")), "99999999999999999999", "--yes")
    assert (result.exit_code, dead_ids(queue)) == (1, [])
    assert "Not among the dead letters any more: 99999999999999999999" in result.output


def test_secrets_in_a_message_are_not_shown(embedded: MessageQueue) -> None:
    secret = "pi_1_secret_abcdefghijklmnop"
    embedded.send([QueueMessage(body=json.dumps({"client_secret": secret}).encode(), message_id="evt_1")])
    for arguments in (["show", "evt_1"], ["show", "evt_1", "--json"]):
        assert "abcdefghijklmnop" not in run(*arguments).output


def test_lists_are_limited_and_go_from_old_to_new(embedded: MessageQueue) -> None:
    embedded.send([QueueMessage(body=b"{}", message_id=f"evt_{number}") for number in range(600)])
    assert [one["message_id"] for one in answer("peek", "--limit", "2")] == ["evt_0", "evt_1"]
    assert len(answer("peek", "--limit", "1000")) == 600


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--newer-than", "1h"], ["evt_1"]),
        (["--older-than", "1h"], []),
        (["--newer-than", "3d", "--reason", "Other"], []),
    ],
)
def test_dead_letters_are_filtered(embedded: MessageQueue, filters: list[str], found: list[str]) -> None:
    dead(embedded, "evt_1")
    assert [one["message_id"] for one in answer("dead-letters", *filters)] == found


def test_a_narrow_terminal_shows_every_id_whole(embedded: MessageQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    message_id = "evt_mBkS5lX2RlHXdiepOVZlnjas:resubmit-1"
    dead(embedded, message_id, "AnotherIntentPaid", subject="payment_intent.succeeded")
    for variable, value in {"COLUMNS": "80", "TTY_COMPATIBLE": "1", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(variable, value)
    said = click.unstyle(run("dead-letters").output)
    assert max(map(len, said.splitlines())) <= 80
    assert all(text in said for text in (message_id, "payment_intent.succeeded", "AnotherIntentPaid"))


def test_an_empty_queue_is_said_to_be_empty(embedded: MessageQueue) -> None:
    assert (run("peek").output, run("dead-letters").output) == ("No messages.\n", "No dead letters.\n")


def test_what_is_locked_or_scheduled_says_until_when(embedded: MessageQueue) -> None:
    embedded.send([QueueMessage(body=b"{}", message_id=f"evt_{number}") for number in range(3)])
    later, _ = embedded.receive(2)
    embedded.retry_later(later, timedelta(hours=1))
    lines = run("peek").output.splitlines()
    states = [line for line in lines if "evt_" in line]
    assert [text in line for text, line in zip(("from ", "locked until", "waiting"), states, strict=True)] == [True] * 3
    assert "retried 1×" in states[0]


# --- asking first, and asked wrongly -----------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "left"), [("n\n", ["evt_1", "evt_2"]), ("y\n", [])])
def test_dead_letters_are_discarded_only_after_a_yes(embedded: MessageQueue, typed: str, left: list[str]) -> None:
    dead(embedded, "evt_1")
    dead(embedded, "evt_2")
    result = run("discard", "--all", typed=typed)
    assert "Remove 2 dead letters of queue payment-events for good?" in result.output
    assert dead_ids(embedded) == left


def test_purging_removes_what_waits_and_nothing_else(embedded: MessageQueue) -> None:
    dead(embedded, "evt_dead")
    embedded.send([QueueMessage(body=b"{}", message_id=f"evt_{number}") for number in range(3)])
    embedded.retry_later(embedded.receive(1)[0], timedelta(hours=1))
    assert run("purge", typed="n\n").exit_code == 1
    assert run("purge", "--yes").output == "Removed 2 messages of queue payment-events.\n"
    counts = embedded.counts()
    assert (counts.active, counts.scheduled, counts.dead_lettered) == (0, 1, 1)


def test_a_dry_run_changes_nothing(embedded: MessageQueue) -> None:
    dead(embedded, "evt_1")
    assert "evt_1 → evt_1:resubmit-1" in run("resubmit", "--all", "--dry-run").output
    assert dead_ids(embedded) == ["evt_1"]


def test_numbers_that_are_no_dead_letters_are_told(embedded: MessageQueue) -> None:
    number = dead(embedded, "evt_1")
    result = run("resubmit", str(number), "4711")
    assert result.exit_code == 1
    assert "Sent again: 1 dead letter." in result.output
    assert "Not among the dead letters any more: 4711." in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resubmit"], "Say which dead letters"),
        (["discard", "1", "--all"], "Say which dead letters"),
        (["peek", "--queue", "paymant-events"], "There is no queue paymant-events"),
        (["peek", "--older-than", "yesterday"], "write an age such as 90m, 12h or 7d"),
    ],
)
def test_a_wrong_question_is_answered_with_how_to_ask(embedded: MessageQueue, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_a_service_that_cannot_be_reached_is_one_sentence(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=k;SharedAccessKey=s3cr3tk3y;UseDevelopmentEmulator=true;"
    monkeypatch.setenv("SERVICEBUS_CONNECTION_STRING", nobody)
    result = run("peek")
    assert result.exit_code == 1
    assert result.output.startswith("Error: Queue payment-events cannot be reached")
    assert "s3cr3tk3y" not in result.output


# --- draining ----------------------------------------------------------------------------------------------


@contextmanager
def crm_in(data: Path) -> Iterator[OrganizationService]:
    """The embedded Dataverse that keeps its rows in the data directory, which one process at a time may open."""
    with closing(Emulator(database=data / "dataverse.db")) as emulator:
        yield emulator.service()


def succeeded(row_id: str, event_id: str = "evt_1") -> QueueMessage:
    event = PaymentEvent(
        event_id=event_id,
        event_type="payment_intent.succeeded",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        livemode=False,
        object_id="pi_1",
        intent_id="pi_1",
        currency="eur",
        amount=12_900,
        amount_received=12_900,
        row_table="new_payment",
        row_id=row_id,
    )
    return message_for(event)


def intent_of(crm: OrganizationService, row_id: str) -> Any:
    return crm.retrieve("new_payment", row_id, ["new_stripepaymentintentid"]).get("new_stripepaymentintentid")


def test_draining_applies_what_waits(embedded: MessageQueue, data: Path) -> None:
    with crm_in(data) as crm:
        row_id = crm.create(Entity("new_payment", None, {"new_name": "PAY-1"}))
    embedded.send([succeeded(row_id)])
    assert run("drain").output == "Queue payment-events: 1 done, 0 to retry later, 0 dead-lettered.\n"
    with crm_in(data) as crm:
        assert intent_of(crm, row_id) == "pi_1"


def test_draining_runs_the_plugins_of_the_embedded_rows(embedded: MessageQueue, data: Path) -> None:
    with crm_in(data) as crm:
        order_id = crm.create(Entity("salesorder", None, {"name": "SO-1"}))
        order = EntityReference("salesorder", order_id)
        row_id = crm.create(Entity("new_payment", None, {"new_name": "PAY-1", "new_salesorderid": order}))
    embedded.send([succeeded(row_id)])
    assert run("drain").output == "Queue payment-events: 1 done, 0 to retry later, 0 dead-lettered.\n"
    with crm_in(data) as crm:
        paid = crm.retrieve("salesorder", order_id, ["new_amountreceived"])["new_amountreceived"]
    assert paid == Money(Decimal("129.00"))


def test_a_message_nobody_can_read_is_set_aside_and_told(embedded: MessageQueue) -> None:
    embedded.send([QueueMessage(body=b"no event", message_id="evt_1")])
    result = run("drain")
    assert (result.exit_code, "1 dead-lettered" in result.output) == (1, True)
    assert answer("dead-letters")[0]["dead_letter_reason"] == "InvalidMessage"


def test_draining_retries_an_event_without_a_row_later(embedded: MessageQueue) -> None:
    embedded.send([succeeded(new_guid())])
    assert answer("drain") == {"queue": "payment-events", "completed": 0, "retry_later": 1, "dead_lettered": 0}


@pytest.mark.parametrize(
    "command",
    [["list"], ["peek"], ["dead-letters"], ["resubmit", "--all"], ["discard", "--all"], ["purge"]],
    ids=lambda command: command[0],
)
def test_where_no_queue_was_used_yet_nothing_is_found_and_nothing_is_made(data: Path, command: list[str]) -> None:
    assert run(*command).exit_code == 0
    assert list(data.iterdir()) == []


def test_where_no_queue_was_used_yet_no_message_is_found_and_nothing_is_made(data: Path) -> None:
    assert "has no message evt_1" in run("show", "evt_1").stderr
    assert list(data.iterdir()) == []


def test_a_data_directory_that_is_a_file_is_no_empty_queue(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "file").touch()
    monkeypatch.setenv("RUNNER_DATA_DIR", str(data / "file"))
    result = run("list")
    assert (result.exit_code, "cannot be opened: File exists. Choose a directory" in result.stderr) == (1, True)
