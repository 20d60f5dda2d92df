"""What is special to the queue in a SQLite file: durability, sharing, group commit, indexed access."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from azure_bridge.clock import ManualClock
from azure_bridge.queues import embedded, sqlite_file
from azure_bridge.queues.contract import QueueAccessError, QueueError, QueueMessage, QueueUnavailableError
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.queues.held_locks import Held

OpenEvents = Callable[..., EmbeddedQueue]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "queues.db"


@pytest.fixture
def open_events(path: Path) -> Iterator[OpenEvents]:
    """Opens the queue "events", and closes it after the test."""
    with ExitStack() as opened:

        def open_events(**settings: Any) -> EmbeddedQueue:
            return opened.enter_context(closing(EmbeddedQueue(path, "events", **settings)))

        yield open_events


def numbered(count: int, *, start: int = 0) -> list[QueueMessage]:
    return [QueueMessage(body=b"{}", message_id=f"evt_{number}") for number in range(start, start + count)]


def wait_for_senders(queue: EmbeddedQueue, count: int) -> None:
    pause = threading.Event()
    while len(queue._commits._waiting) < count:
        pause.wait(0.001)


def test_a_renewed_lock_holds_its_duration_from_now(open_events: OpenEvents, clock: ManualClock) -> None:
    queue = open_events(lock_duration=timedelta(minutes=1), clock=clock)
    queue.send(numbered(1))
    [message] = queue.receive()
    clock.advance(timedelta(seconds=40))
    assert queue.renew(message).locked_until == clock.now() + timedelta(minutes=1)


def test_an_id_is_good_again_after_its_window_however_many_wait_to_be_forgotten(
    open_events: OpenEvents, clock: ManualClock
) -> None:
    queue = open_events(duplicate_detection_window=timedelta(days=1), clock=clock)
    queue.send(numbered(10))
    clock.advance(timedelta(days=1))
    queue.send(numbered(1, start=9))
    assert queue.counts().active == 11


def test_a_lock_that_is_lost_is_not_asked_for_again(open_events: OpenEvents, clock: ManualClock) -> None:
    queue = open_events(lock_duration=timedelta(minutes=1), clock=clock)
    queue.send(numbered(1))
    [message] = queue.receive()
    held = Held(message, clock)
    clock.advance(timedelta(minutes=1))
    held.renew_if_due(queue)
    assert held.is_lost
    queue.close()
    held.renew_if_due(queue)


def test_what_was_sent_is_there_after_reopening(open_events: OpenEvents) -> None:
    queue = open_events()
    queue.send(numbered(3))
    queue.close()
    assert open_events().counts().active == 3


def test_every_commit_reaches_the_disk(open_events: OpenEvents) -> None:
    with open_events()._file.reading() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_senders_that_wait_together_share_one_commit(open_events: OpenEvents) -> None:
    """While one transaction holds the file, eight senders gather; one commit then stores all their messages."""
    queue = open_events()
    commits: list[str] = []
    with queue._file.reading() as connection:
        connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    with ThreadPoolExecutor(8) as pool:
        with queue._file.transaction():
            sends = [pool.submit(queue.send, [message]) for message in numbered(8)]
            wait_for_senders(queue, 8)
            commits.clear()
        for send in sends:
            send.result(timeout=30)
    assert queue.counts().active == 8
    assert len(commits) == 2, "one for the transaction that held the file, one for all senders"


def test_a_file_held_too_long_by_another_fails_all_who_wait_and_stores_nothing(
    path: Path, open_events: OpenEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    queue = open_events()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(QueueUnavailableError, match=r"locked.*Try again"):
        queue.send(numbered(1))
    other.execute("ROLLBACK")
    other.close()
    assert queue.counts().active == 0
    queue.send(numbered(1))
    assert queue.counts().active == 1


def test_a_closed_queue_says_that_it_cannot_be_used(open_events: OpenEvents) -> None:
    queue = open_events()
    queue.close()
    with pytest.raises(QueueUnavailableError, match="closed"):
        queue.send(numbered(1))


def test_a_directory_that_cannot_be_made_is_another_ones_to_choose(path: Path) -> None:
    path.parent.write_text("a file, not a directory")
    with pytest.raises(QueueAccessError, match="Choose a directory that can be written to"):
        EmbeddedQueue(path, "events")


def test_what_is_no_queue_file_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a diary, not a database" * 100)
    with pytest.raises(QueueUnavailableError, match="not a database"):
        EmbeddedQueue(path, "events")
    assert path.read_bytes().startswith(b"a diary")


def test_a_damaged_file_says_how_to_go_on(path: Path, open_events: OpenEvents) -> None:
    queue = open_events()
    queue.send(numbered(200))
    queue.close()
    pages = bytearray(path.read_bytes())
    pages[4096:] = b"\xa5" * (len(pages) - 4096)
    path.write_bytes(pages)
    with pytest.raises(QueueUnavailableError, match=r"malformed.*move it away.*runner reconcile --fix"):
        open_events().receive(10)


def test_a_full_disk_stores_nothing_until_there_is_space(open_events: OpenEvents) -> None:
    queue = open_events()
    connection = queue._file._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(QueueUnavailableError, match=r"full.*Free some space"):
        queue.send(numbered(200))
    connection.execute("PRAGMA max_page_count = 1000000")
    assert queue.counts().active == 0
    queue.send(numbered(200))
    assert queue.counts().active == 200


def test_a_change_of_the_working_directory_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(EmbeddedQueue(Path("queue.db"), "events")) as queue:
        monkeypatch.chdir("/")
        queue.send(numbered(1))
        assert queue.counts().active == 1


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_nothing_is_taken_for_a_file_that_was_removed_meanwhile(path: Path, open_events: OpenEvents) -> None:
    """It would be lost with the process."""
    queue = open_events()
    path.unlink()
    with pytest.raises(QueueUnavailableError, match="was removed or replaced"):
        queue.send(numbered(1))
    with pytest.raises(QueueUnavailableError, match="was removed or replaced"):
        queue.counts()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_nothing_is_taken_for_a_file_in_whose_place_there_is_another(path: Path, open_events: OpenEvents) -> None:
    queue = open_events()
    path.rename(path.with_name("elsewhere.db"))
    anew = open_events()
    with pytest.raises(QueueUnavailableError, match="was removed or replaced"):
        queue.send(numbered(1))
    anew.send(numbered(1))
    assert anew.counts().active == 1


def test_a_file_that_may_not_be_written_says_so(open_events: OpenEvents) -> None:
    queue = open_events()
    queue._file._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(QueueUnavailableError, match=r"readonly.*Let this user write"):
        queue.send(numbered(1))


def test_a_file_of_another_layout_is_refused(path: Path) -> None:
    EmbeddedQueue(path, "events").close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(QueueError, match="layout 99"):
        EmbeddedQueue(path, "events")


def test_many_can_open_a_new_file_at_once(open_events: OpenEvents) -> None:
    start = threading.Barrier(8)

    def open_and_send(number: int) -> None:
        start.wait()
        queue = open_events()
        queue.send(numbered(1, start=number))
        queue.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_send, range(8)))
    assert open_events().counts().active == 8


def test_expired_ids_are_forgotten_as_new_messages_come(open_events: OpenEvents) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    queue = open_events(duplicate_detection_window=timedelta(days=1), clock=clock)
    queue.send(numbered(10))
    clock.advance(timedelta(days=1))
    queue.send(numbered(5, start=10))
    with queue._file.reading() as connection:
        assert connection.execute("SELECT COUNT(*) FROM known_id").fetchone()[0] == 5


@pytest.mark.parametrize("name", ["_FORGET", "_ANY_DUE", "_LOCK", "_PEEK", "_PEEK_DEAD", "_REMOVE_DEAD", "_COUNT"])
def test_no_statement_walks_through_the_backlog(open_events: OpenEvents, name: str) -> None:
    queue = open_events()
    parameters = dict.fromkeys(["queue", "now", "limit", "first", "sequence_number", "lock_token", "locked_until"], 1)
    with queue._file.reading() as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {getattr(embedded, name)}", parameters).fetchall()
    steps = [row["detail"] for row in plan]
    assert not [step for step in steps if step.startswith(("SCAN message", "SCAN known_id", "USE TEMP B-TREE"))], steps


def test_a_sender_interrupted_while_it_waits_does_not_hold_up_the_others(open_events: OpenEvents) -> None:
    queue = open_events()
    with ThreadPoolExecutor(1) as pool:
        with queue._file.transaction():
            leading = pool.submit(queue.send, numbered(1))
            wait_for_senders(queue, 1)
            interrupted = queue._commits._join(numbered(1, start=1))
            queue._commits._leave(interrupted)
        leading.result(timeout=30)
    queue.send(numbered(1, start=2))
    assert [one.message.message_id for one in queue.peek()] == ["evt_0", "evt_2"]
