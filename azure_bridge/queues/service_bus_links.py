"""A receiver that threads share by taking turns, and the fair lock that orders them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from azure.servicebus import ServiceBusReceiver

from azure_bridge.queues.service_bus_errors import translated


class FairLock:
    """A lock for threads in the order of their arrival. A plain lock would let a polling thread win again and again."""

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
    """One connection, opened on first use. Threads take turns, because the SDK's receivers are not thread-safe.

    Source: https://learn.microsoft.com/python/api/overview/azure/servicebus-readme#thread-safety
    """

    def __init__(self, queue: str, make: Callable[[], ServiceBusReceiver]) -> None:
        self._queue = queue
        self._make = make
        self._lock = FairLock()
        self._receiver: ServiceBusReceiver | None = None

    @contextmanager
    def use(self) -> Iterator[ServiceBusReceiver]:
        """The open receiver, for this thread alone within the block. Raises the contract's errors for the SDK's."""
        with self._lock, translated(self._queue):
            if self._receiver is None:
                self._receiver = self._make()
            # Opened here, with a timeout of its own; inside a receive it would use up the time to wait for messages.
            yield self._receiver.__enter__()

    def close(self) -> None:
        with self._lock, translated(self._queue):
            if self._receiver is not None:
                self._receiver.close()
