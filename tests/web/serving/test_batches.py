"""What is asked at the same time is done together, and answered one by one."""

from __future__ import annotations

import asyncio
import threading

import pytest

from runner.web.serving.batches import Batches


class Work:
    """Doubles numbers, a batch at a time; ``go`` lets the first batch go on. 13 cannot be done."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()

    def __call__(self, numbers):
        self.batches.append(list(numbers))
        assert self.go.wait(30)
        if 13 in numbers:
            raise ValueError("13 brings bad luck")
        return [number * 2 for number in numbers]


@pytest.fixture
def work() -> Work:
    return Work()


def answers(work: Work, *numbers: int) -> list:
    """All of them asked before the first is answered."""

    async def ask() -> list:
        batches = Batches(work, "double")
        asked = [asyncio.ensure_future(batches(number)) for number in numbers]
        await asyncio.sleep(0)
        work.go.set()
        answered = await asyncio.gather(*asked, return_exceptions=True)
        batches.close()
        return answered

    return asyncio.run(ask())


def test_who_comes_while_one_is_at_work_is_in_the_next_batch(work) -> None:
    assert answers(work, 1, 2, 3) == [2, 4, 6]
    assert work.batches == [[1], [2, 3]]


def test_a_bad_item_fails_without_the_rest_of_its_batch(work) -> None:
    first, bad, last = answers(work, 1, 13, 3)
    assert (first, last) == (2, 6)
    assert isinstance(bad, ValueError)


def test_a_cancelled_caller_does_not_hold_up_its_batch(work) -> None:
    async def ask() -> list:
        batches = Batches(work, "double")
        asked = [asyncio.ensure_future(batches(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        asked[1].cancel()
        work.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, gone, last = asyncio.run(ask())
    assert (first, last) == (2, 6)
    assert isinstance(gone, asyncio.CancelledError)
