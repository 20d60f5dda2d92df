"""A plug-in that does not end is ended."""

from __future__ import annotations

import contextlib
import threading
from itertools import permutations

import pytest

from runner.execution import deadline as deadlines
from runner.execution.deadline import Deadline, StepTimeoutError, TimeIsUp

SHORT = 0.01


def spin():
    while True:
        pass


def test_a_block_that_never_ends_is_ended():
    with pytest.raises(StepTimeoutError, match=r"within 0\.01 seconds"), Deadline(SHORT):
        spin()


def test_a_block_that_ends_in_time_is_left_alone():
    with Deadline(60) as deadline:
        pass
    assert not deadline.expired


def test_handlers_of_exceptions_do_not_stop_it():
    def stubborn():
        while True:
            with contextlib.suppress(Exception):
                spin()

    with pytest.raises(StepTimeoutError), Deadline(SHORT):
        stubborn()


def test_a_block_that_swallows_even_that_is_late_all_the_same():
    def deaf():
        try:
            spin()
        except BaseException:
            return

    with pytest.raises(StepTimeoutError), Deadline(SHORT):
        deaf()


def test_a_shielded_part_is_finished_first():
    done = []

    def work(deadline):
        deadline.shield()
        while not deadline.expired:
            pass
        done.append("whole")
        deadline.unshield()
        done.append("never")

    with pytest.raises(StepTimeoutError), Deadline(SHORT) as deadline:
        work(deadline)
    assert done == ["whole"]


def test_the_inner_of_two_ends_the_inner_only():
    reached = []
    with Deadline(60):
        with pytest.raises(StepTimeoutError), Deadline(SHORT):
            spin()
        reached.append("outer")
    assert reached == ["outer"]


def test_the_outer_of_two_ends_both():
    with pytest.raises(StepTimeoutError, match=r"0\.01"), Deadline(SHORT), Deadline(60):
        spin()


def test_other_threads_are_not_interrupted():
    finished = threading.Event()
    go = threading.Event()

    def innocent():
        go.wait(60)
        finished.set()

    thread = threading.Thread(target=innocent)
    thread.start()
    with pytest.raises(StepTimeoutError), Deadline(SHORT):
        spin()
    go.set()
    thread.join()
    assert finished.is_set()


def test_an_interruption_that_comes_as_the_block_ends_is_taken_back(monkeypatch):
    """Or it would hit whatever the thread does next."""
    interruptions = []
    monkeypatch.setattr(deadlines, "_interrupt", lambda thread, error: interruptions.append(error))
    with pytest.raises(StepTimeoutError), Deadline(SHORT) as deadline:
        until_expired(deadline)
    assert interruptions == [TimeIsUp, None]


def until_expired(deadline):
    while not deadline.expired:
        pass


@pytest.mark.parametrize("expiring", [*permutations((10.0, 20.0, 30.0))], ids=str)
def test_the_watchdog_wakes_for_the_earliest_deadline(expiring):
    watchdog = deadlines._Watchdog()
    for moment in expiring:
        deadline = Deadline(1)
        deadline.expires = moment
        watchdog.deadlines[deadline] = None
    watchdog._expire_overdue(now=0.0)
    assert watchdog.wakes_at == 10.0


def test_a_watchdog_with_nothing_to_watch_sleeps_long():
    watchdog = deadlines._Watchdog()
    watchdog._expire_overdue(now=100.0)
    assert watchdog.wakes_at == 160.0
