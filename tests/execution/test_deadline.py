"""A plug-in that does not end is ended."""

from __future__ import annotations

import contextlib
import threading

import pytest

from runner.execution.deadline import Deadline, StepTimeoutError

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
