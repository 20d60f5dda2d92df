"""Batches concurrent requests: those that arrive while one batch is processed form the next.

Nobody waits for a timer, and one thread at a time is woken for all who wait: one for each would spend more on waking up
than on what it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class Batches(Generic[Item, Result]):
    """``await batches(item)`` is the item's result.

    ``work`` answers a result for each item of a batch, in its order. When it fails, each item is done by itself, so
    that one that cannot be done fails alone.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]], name: str) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._is_working = False

    async def __call__(self, item: Item) -> Result:
        """Raises whatever ``work`` raises."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if not self._is_working:
            self._begin()
        return await result

    def close(self) -> None:
        """Let the batch at work come to its end."""
        self._thread.shutdown()

    def _begin(self) -> None:
        batch, self._waiting, self._is_working = self._waiting, [], True
        items = [item for item, _ in batch]
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._results, items)
        done.add_done_callback(lambda done: self._end([result for _, result in batch], done.result()))

    def _results(self, items: Sequence[Item]) -> Sequence[Result | _Failed]:
        try:
            return self._work(items)
        except Exception as error:
            if len(items) == 1:
                return [_Failed(error)]
            return [result for item in items for result in self._results([item])]

    def _end(self, asked: Sequence[asyncio.Future[Result]], results: Sequence[Result | _Failed]) -> None:
        self._is_working = False
        if self._waiting:
            self._begin()
        for future, result in zip(asked, results, strict=True):
            if future.cancelled():
                continue
            if isinstance(result, _Failed):
                future.set_exception(result.error)
            else:
                future.set_result(result)
