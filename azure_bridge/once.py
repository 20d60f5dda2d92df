"""A value that is made on first use, and then kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Calls ``make`` once, even when several threads ask for the value at the same time.

    When ``make`` raises, the threads that waited get its error, and the next call tries again.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._attempt: Future[T] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> T:
        with self._lock:
            attempt, is_first = self._attempt, self._attempt is None
            if attempt is None:
                attempt = self._attempt = Future()
        if is_first:
            self._try(attempt)
        return attempt.result()

    def _try(self, attempt: Future[T]) -> None:
        try:
            attempt.set_result(self._make())
        except BaseException as error:
            self._attempt = None
            attempt.set_exception(error)
