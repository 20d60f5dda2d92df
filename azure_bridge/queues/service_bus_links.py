"""A receiver that threads take turns with, and the fair lock they queue for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from azure.servicebus import ServiceBusReceiver

from azure_bridge.queues.service_bus_errors import translated


class FairLock:
    """First come, first served. A plain lock would let a polling thread take it again and again."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._gate:
            if not self._taken:
                self._taken = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(self, *_: object) -> None:
        with self._gate:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class SharedReceiver:
    """One connection, opened when first used: the SDK's receivers are not safe for threads.

    Source: https://learn.microsoft.com/python/api/overview/azure/servicebus-readme#thread-safety
    """

    def __init__(self, queue: str, make: Callable[[], ServiceBusReceiver]) -> None:
        self._queue = queue
        self._make = make
        self._lock = FairLock()
        self._receiver: ServiceBusReceiver | None = None

    @contextmanager
    def use(self) -> Iterator[ServiceBusReceiver]:
        """The receiver, open and one's own for the block. What the SDK raises comes out as the contract's errors."""
        with self._lock, translated(self._queue):
            if self._receiver is None:
                self._receiver = self._make()
            # Opening has a budget of its own here; inside a receive it would eat the time to wait for messages.
            yield self._receiver.__enter__()

    def close(self) -> None:
        with self._lock, translated(self._queue):
            if self._receiver is not None:
                self._receiver.close()
