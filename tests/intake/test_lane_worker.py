"""A worker: order for each row, rows side by side, locks kept alive, nothing held back at its end."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from azure_bridge.queues.contract import QueueMessage, QueueUnavailableError
from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.settlement import Complete
from runner.intake.worker import LaneWorker


@pytest.fixture
def queue(tmp_path, clock):
    queue = EmbeddedQueue(tmp_path / "queue.db", "dataverse-events", clock=clock)
    yield queue
    queue.close()


def send(queue, *ids) -> None:
    """``row/number``: the row is the session."""
    queue.send([QueueMessage(b"{}", each, session_id=each.partition("/")[0]) for each in ids])


def work_off(worker) -> None:
    worker.run(lambda: False, when_idle=lambda: True)


def test_messages_of_one_row_are_handled_in_order(queue, clock) -> None:
    seen = []

    def handle(message):
        seen.append(message.message.message_id)
        return Complete(message)

    send(queue, *[f"{row}/{number}" for number in range(8) for row in "abc"])
    work_off(LaneWorker(queue, handle, clock, concurrency=3))
    for row in "abc":
        assert [each for each in seen if each.startswith(row)] == [f"{row}/{number}" for number in range(8)]
    assert queue.counts().active == queue.counts().locked == 0


def test_rows_are_handled_side_by_side(queue, clock) -> None:
    """Each waits for the other: one after the other would never end."""
    together = threading.Barrier(2, timeout=30)

    def handle(message):
        together.wait()
        return Complete(message)

    send(queue, "a/1", "b/1")
    work_off(LaneWorker(queue, handle, clock, concurrency=2))
    assert not together.broken


def test_the_lock_of_a_slow_step_is_kept_alive(queue, clock) -> None:
    renewed = threading.Event()
    renew = queue.renew

    def watch(message):
        again = renew(message)
        renewed.set()
        return again

    queue.renew = watch

    def handle(message):
        clock.advance(timedelta(seconds=40))
        assert renewed.wait(30)
        clock.advance(timedelta(seconds=40))
        return Complete(message)

    send(queue, "a/1")
    work_off(LaneWorker(queue, handle, clock, concurrency=1))
    assert queue.receive(1) == []
    assert queue.counts().active == 0


def test_a_stopped_worker_gives_back_what_it_has_not_begun(queue, clock) -> None:
    stopping = threading.Event()
    received = threading.Event()
    receive = queue.receive

    def watch(*arguments):
        messages = receive(*arguments)
        if messages:
            received.set()
        return messages

    queue.receive = watch
    seen = []

    def handle(message):
        seen.append(message.message.message_id)
        assert received.wait(30)
        stopping.set()
        return Complete(message)

    send(queue, "a/1", "a/2")
    LaneWorker(queue, handle, clock, concurrency=1).run(stopping.is_set)
    left = ["a/1", "a/2"][len(seen) :]
    assert [message.message.message_id for message in queue.receive(10)] == left


def test_a_queue_that_fails_is_told_to_whoever_runs_the_worker(queue, clock) -> None:
    def away(*_):
        raise QueueUnavailableError("The disk is gone.")

    queue.complete = away
    send(queue, "a/1")
    with pytest.raises(QueueUnavailableError):
        LaneWorker(queue, Complete, clock).run(lambda: False)
