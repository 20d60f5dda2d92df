"""What arrives one by one is processed together."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from azure_bridge.gathering import Gathered
from azure_bridge.once import Once
from azure_bridge.queues.contract import QueueMessage, ReceivedMessage
from azure_bridge.settlement import Complete, DeadLetter

NOW = datetime(2026, 11, 22, tzinfo=UTC)
WAIT = 30


def a_message(number: int) -> ReceivedMessage:
    return ReceivedMessage(QueueMessage(b"{}", f"evt_{number}"), "", number, NOW, NOW, delivery_count=1)


class Slow:
    """A processor whose first batch lasts until the test lets it go, and which refuses odd messages."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began, self.may_go_on = threading.Event(), threading.Event()

    def process(self, messages):
        self.batches.append([message.sequence_number for message in messages])
        self.began.set()
        assert self.may_go_on.wait(WAIT)
        # In another order: a decision belongs to its message.
        return [
            DeadLetter(message, "Odd", "") if message.sequence_number % 2 else Complete(message)
            for message in reversed(messages)
        ]


def until_waiting(gathered: Gathered, count: int) -> None:
    while len(gathered._waiting) < count:
        threading.Event().wait(0.001)


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(16) as threads:
        yield threads


def test_what_arrives_while_a_batch_is_at_work_is_the_next_and_each_hears_of_its_own(slow, threads) -> None:
    gathered = Gathered(slow.process)
    first = threads.submit(gathered, a_message(0))
    assert slow.began.wait(WAIT)
    others = [threads.submit(gathered, a_message(number)) for number in range(1, 8)]
    until_waiting(gathered, len(others))
    slow.may_go_on.set()

    decisions = [future.result(WAIT) for future in (first, *others)]

    assert [decision.message.sequence_number for decision in decisions] == list(range(8))
    assert [type(decision) for decision in decisions] == [Complete, DeadLetter] * 4
    assert sorted(slow.batches[1]) == list(range(1, 8))


def test_no_batch_is_larger_than_it_may_be(slow, threads) -> None:
    gathered = Gathered(slow.process, most=3)
    first = threads.submit(gathered, a_message(0))
    assert slow.began.wait(WAIT)
    others = [threads.submit(gathered, a_message(number)) for number in range(1, 9)]
    until_waiting(gathered, len(others))
    slow.may_go_on.set()
    for future in (first, *others):
        future.result(WAIT)
    assert [len(batch) for batch in slow.batches] == [1, 3, 3, 2]
    assert sorted(number for batch in slow.batches for number in batch) == list(range(9))


def test_an_error_is_nobodys_afterwards() -> None:
    failing = [True]

    def process(messages):
        if failing.pop():
            failing.append(False)
            raise OSError("no disk")
        return [Complete(message) for message in messages]

    gathered = Gathered(process)
    with pytest.raises(OSError, match="no disk"):
        gathered(a_message(1))
    assert isinstance(gathered(a_message(2)), Complete)


def test_a_message_that_breaks_its_batch_fails_alone(threads) -> None:
    began, may_go_on = threading.Event(), threading.Event()

    def process(messages):
        began.set()
        assert may_go_on.wait(WAIT)
        if any(message.sequence_number == 3 for message in messages):
            raise ZeroDivisionError
        return [Complete(message) for message in messages]

    gathered = Gathered(process)
    first = threads.submit(gathered, a_message(0))
    assert began.wait(WAIT)
    others = [threads.submit(gathered, a_message(number)) for number in range(1, 6)]
    until_waiting(gathered, len(others))
    may_go_on.set()

    errors = [type(future.exception(WAIT)) for future in (first, *others)]

    assert errors == [ZeroDivisionError if number == 3 else type(None) for number in range(6)]


def test_a_value_is_made_once_however_many_threads_ask(threads) -> None:
    made, begin = [], threading.Barrier(16)

    def ask():
        begin.wait(WAIT)
        return value()

    value = Once(lambda: made.append(object()) or made[-1])
    assert len({id(future.result(WAIT)) for future in [threads.submit(ask) for _ in range(16)]}) == len(made) == 1


def test_whoever_waited_for_an_attempt_that_failed_has_its_error_and_makes_no_other(threads, monkeypatch) -> None:
    """A hundred messages do not wait one after the other for a vault that is away."""
    attempts, waiting, may_fail = [], threading.Semaphore(0), threading.Event()

    class Awaited(Future):
        def result(self, timeout=None):
            waiting.release()
            return super().result(timeout)

    def make():
        attempts.append(1)
        assert may_fail.wait(WAIT)
        raise OSError("away")

    monkeypatch.setattr("azure_bridge.once.Future", Awaited)
    value = Once(make)
    asked = [threads.submit(value) for _ in range(8)]
    for _ in range(7):
        assert waiting.acquire(timeout=WAIT)
    may_fail.set()

    assert [type(each.exception(WAIT)) for each in asked] == [OSError] * 8
    assert len(attempts) == 1


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    attempts = iter([OSError("not yet"), None])

    def make():
        error = next(attempts)
        if error:
            raise error
        return "made"

    value = Once(make)
    with pytest.raises(OSError, match="not yet"):
        value()
    assert value() == "made"
