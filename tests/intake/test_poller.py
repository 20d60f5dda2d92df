"""Polling: what happened is found by looking, told once, and never skipped."""

from __future__ import annotations

from contextlib import closing, contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from azure_bridge.queues.contract import QueueUnavailableError
from azure_bridge.secrets import Secrets
from dataverse_client.errors import InvalidRequestError
from dataverse_client.types import Money
from runner.intake.directory import StepDirectory
from runner.intake.errors import SeenRowsError
from runner.intake.polled_notifications import PolledNotifications
from runner.intake.poller import Poller
from runner.intake.seen_rows import SeenRows
from runner.registrations.load import load
from runner.remote_context.context import RemoteContext
from runner.tracing.model import NotificationTraced

TABLE = "new_payment"


@pytest.fixture
def directory(pytestconfig):
    return StepDirectory.of(load(pytestconfig.rootpath / "registrations.yaml"), Secrets({}))


@pytest.fixture
def seen(tmp_path):
    seen = SeenRows(tmp_path / "poll.db")
    yield seen
    seen.close()


@pytest.fixture
def poller(elsewhere, directory, seen):
    notifications = PolledNotifications(directory, elsewhere.crm.organization.organization_id, elsewhere.clock)
    poller = Poller(elsewhere.client, elsewhere.queue, seen, notifications)
    poller.poll(TABLE)
    return poller


def found(elsewhere) -> list[RemoteContext]:
    messages = elsewhere.queue.receive(100)
    elsewhere.queue.complete(messages)
    return [RemoteContext.decode(message.message.body) for message in messages]


def names(elsewhere) -> list[str]:
    return [remote.context.message_name for remote in found(elsewhere)]


def test_the_first_time_only_remembers(elsewhere, directory, seen) -> None:
    elsewhere.create_payment()
    notifications = PolledNotifications(directory, elsewhere.crm.organization.organization_id, elsewhere.clock)
    assert Poller(elsewhere.client, elsewhere.queue, seen, notifications).poll(TABLE) == 0
    assert names(elsewhere) == []


def test_from_the_beginning_every_row_is_told_as_created(elsewhere, directory, seen) -> None:
    elsewhere.create_payment()
    notifications = PolledNotifications(directory, elsewhere.crm.organization.organization_id, elsewhere.clock)
    assert Poller(elsewhere.client, elsewhere.queue, seen, notifications).poll(TABLE, from_beginning=True) == 1
    assert names(elsewhere) == ["Create"]


def test_created_changed_and_deleted_rows_are_told_of_once(elsewhere, poller) -> None:
    changed, deleted = elsewhere.create_payment(), elsewhere.create_payment()
    poller.poll(TABLE)
    found(elsewhere)
    elsewhere.update(changed, new_amount=Money(Decimal("25.00")))
    elsewhere.client.delete(TABLE, deleted)
    assert poller.poll(TABLE) == 2
    assert sorted(names(elsewhere)) == ["Delete", "Update"]
    assert poller.poll(TABLE) == 0


def test_an_update_tells_what_changed_and_what_was_before(elsewhere, poller) -> None:
    payment_id = elsewhere.create_payment("19.99")
    poller.poll(TABLE)
    found(elsewhere)
    elsewhere.update(payment_id, new_amount=Money(Decimal("25.00")), new_name=None)
    poller.poll(TABLE)
    [remote] = found(elsewhere)
    target = remote.context.target
    assert (target["new_amount"].value, target["new_name"]) == (Decimal("25.00"), None)
    assert "transactioncurrencyid" not in target
    assert remote.context.pre_image("before")["new_amount"].value == Decimal("19.99")


def test_a_row_made_and_deleted_between_two_looks_is_nobodys_business(elsewhere, poller) -> None:
    elsewhere.client.delete(TABLE, elsewhere.create_payment())
    assert poller.poll(TABLE) == 0


def test_an_expired_link_leads_to_a_comparison_of_all_rows(elsewhere, poller) -> None:
    same, changed, deleted = (elsewhere.create_payment() for _ in range(3))
    poller.poll(TABLE)
    found(elsewhere)
    elsewhere.update(changed, new_name="Another")
    elsewhere.client.delete(TABLE, deleted)
    made = elsewhere.create_payment()
    elsewhere.clock.advance(timedelta(days=8))
    poller.poll(TABLE)
    told = {remote.context.primary_entity_id: remote.context.message_name for remote in found(elsewhere)}
    assert told == {changed: "Update", deleted: "Delete", made: "Create"}
    assert same not in told


@pytest.fixture
def queue_away(elsewhere, monkeypatch):
    """A block in which the queue takes nothing."""

    def away(_):
        raise QueueUnavailableError("The disk is full.")

    @contextmanager
    def outage():
        with monkeypatch.context() as broken:
            broken.setattr(elsewhere.queue, "send", away)
            yield

    return outage


def test_what_the_queue_did_not_take_is_found_again(elsewhere, poller, queue_away) -> None:
    elsewhere.create_payment()
    with queue_away(), pytest.raises(QueueUnavailableError):
        poller.poll(TABLE)
    assert poller.poll(TABLE) == 1


def test_a_deletion_that_only_a_comparison_shows_is_found_again(elsewhere, poller, queue_away) -> None:
    deleted = elsewhere.create_payment()
    poller.poll(TABLE)
    found(elsewhere)
    elsewhere.client.delete(TABLE, deleted)
    elsewhere.clock.advance(timedelta(days=8))
    with queue_away(), pytest.raises(QueueUnavailableError):
        poller.poll(TABLE)
    poller.poll(TABLE)
    assert names(elsewhere) == ["Delete"]


def test_the_same_finding_made_twice_is_one_message(elsewhere, poller, monkeypatch) -> None:
    """A crash between the queue and the file."""

    class Crash(Exception):
        pass

    def crash(*_):
        raise Crash

    elsewhere.create_payment()
    with monkeypatch.context() as dying:
        dying.setattr(poller._seen, "set_link", crash)
        with pytest.raises(Crash):
            poller.poll(TABLE)
    poller.poll(TABLE)
    assert names(elsewhere) == ["Create"]


def test_a_file_that_is_none_of_ours_is_named(tmp_path) -> None:
    (tmp_path / "poll.db").write_text("Not a database, whatever its name says.")
    with pytest.raises(SeenRowsError, match=r"poll\.db, which keeps what polling has seen"):
        SeenRows(tmp_path / "poll.db")


def test_two_pollers_of_one_file_are_told(seen, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("runner.intake.seen_rows.PATIENCE_SECONDS", 0)
    other = SeenRows(tmp_path / "poll.db")
    with closing(other), seen.saving(), pytest.raises(SeenRowsError, match="End any other runner poll"), other.saving():
        pass


def test_without_change_tracking_modifiedon_tells(elsewhere, directory, seen, monkeypatch) -> None:
    from dataverse_client.changes import CHANGE_TRACKING_DISABLED

    def not_tracked(*_, **__):
        raise InvalidRequestError("Not enabled for change tracking", code=CHANGE_TRACKING_DISABLED)

    monkeypatch.setattr(elsewhere.client, "changes", not_tracked)
    notifications = PolledNotifications(directory, elsewhere.crm.organization.organization_id, elsewhere.clock)
    poller = Poller(elsewhere.client, elsewhere.queue, seen, notifications)
    poller.poll(TABLE)
    payment_id = elsewhere.create_payment()
    assert (poller.poll(TABLE), poller.poll(TABLE)) == (1, 0)
    elsewhere.clock.advance(timedelta(minutes=1))
    elsewhere.update(payment_id, new_name="Another")
    assert (poller.poll(TABLE), poller.poll(TABLE)) == (1, 0)


def test_polling_alone_brings_a_row_to_its_intent_and_rests(elsewhere, poller) -> None:
    payment_id = elsewhere.create_payment("19.99")
    while poller.poll(TABLE):
        elsewhere.work()
    assert elsewhere.open_intents()[0]["id"] == elsewhere.payment(payment_id)["new_stripepaymentintentid"]
    sources = {record.source for record in elsewhere.traces.records if isinstance(record, NotificationTraced)}
    assert sources == {"poll"}


def test_a_deleted_row_found_by_polling_cancels_its_intent(elsewhere, poller) -> None:
    payment_id = elsewhere.create_payment()
    while poller.poll(TABLE):
        elsewhere.work()
    elsewhere.client.delete(TABLE, payment_id)
    poller.poll(TABLE)
    elsewhere.work()
    assert elsewhere.open_intents() == []


def test_what_was_seen_of_one_organization_is_not_compared_with_another(seen) -> None:
    """Given rows of one environment, when the file is used for another, then none of them is taken for deleted."""
    seen.belong_to("6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11")
    seen.belong_to("6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11")
    with pytest.raises(SeenRowsError, match="a RUNNER_DATA_DIR of its own, or remove the file"):
        seen.belong_to("00000000-0000-0000-0000-000000000001")
