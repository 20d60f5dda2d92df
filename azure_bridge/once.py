"""A value made when it is first asked for, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Calls ``make`` once in a process, whichever threads ask first.

    When it raises, whoever waited for it gets that error; whoever asks after that tries again.
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
