"""Works through a queue: one row's messages in order, several rows at a time.

The loop receives messages, keeps their locks alive and gives each row a lane; the lanes' threads handle and settle.
A worker that is stopped finishes what runs and gives the rest back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from azure_bridge.clock import Clock
from azure_bridge.queues.contract import MessageQueue, QueueError, ReceivedMessage
from azure_bridge.queues.held_locks import Held
from azure_bridge.settlement import Settlement, settle

#: How long an idle worker waits for a message before it looks whether it is to stop.
_MAX_WAIT = timedelta(milliseconds=500)
#: Messages held for each thread: one at work, one to follow.
_HELD_PER_THREAD = 2


class LaneWorker:
    """Handles the messages of ``queue`` with ``handle``, ``concurrency`` rows at the same time."""

    def __init__(
        self,
        queue: MessageQueue,
        handle: Callable[[ReceivedMessage], Settlement],
        clock: Clock,
        *,
        concurrency: int = 4,
    ) -> None:
        self._queue = queue
        self._handle = handle
        self._clock = clock
        self._concurrency = concurrency
        self._lanes: dict[str, deque[Held]] = {}
        self._free = threading.Condition()
        self._held = 0
        self._error: Exception | None = None

    def run(self, until: Callable[[], bool], *, when_idle: Callable[[], bool] = lambda: False) -> None:
        """Work until ``until`` is true, or nothing is left to do and ``when_idle`` is.

        Raises:
          QueueUnavailableError: what was received and not settled comes again.
        """
        with ThreadPoolExecutor(self._concurrency, "steps") as threads:
            try:
                while not until() and self._error is None:
                    received = self._receive()
                    for message in received:
                        self._put_in_lane(message, threads)
                    self._renew_locks()
                    if not received and not self._held and when_idle():
                        break
            finally:
                self._give_back()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _receive(self) -> list[ReceivedMessage]:
        with self._free:
            capacity = self._capacity()
            if capacity == 0:
                self._free.wait(_MAX_WAIT.total_seconds())
                capacity = self._capacity()
        return self._queue.receive(capacity, _MAX_WAIT) if capacity else []

    def _capacity(self) -> int:
        return self._concurrency * _HELD_PER_THREAD - self._held

    def _put_in_lane(self, message: ReceivedMessage, threads: ThreadPoolExecutor) -> None:
        row = message.message.session_id or str(message.sequence_number)
        with self._free:
            self._held += 1
            lane = self._lanes.get(row)
            if lane is not None:
                lane.append(Held(message, self._clock))
                return
            self._lanes[row] = deque([Held(message, self._clock)])
        threads.submit(self._work, row)

    # --- a lane's thread -----------------------------------------------------------------------------------

    def _work(self, row: str) -> None:
        while (held := self._first(row)) is not None:
            try:
                if not held.is_lost:
                    settlement = self._handle(held.received)
                    settle(self._queue, [replace(settlement, message=held.received)])
            except Exception as error:
                self._error = error
            self._done(row)

    def _first(self, row: str) -> Held | None:
        with self._free:
            lane = self._lanes[row]
            if not lane:
                del self._lanes[row]
                return None
            return lane[0]

    def _done(self, row: str) -> None:
        with self._free:
            # Whoever gives messages back leaves the one at work to its thread.
            self._lanes[row].popleft()
            self._held -= 1
            self._free.notify_all()

    # --- locks ---------------------------------------------------------------------------------------------

    def _renew_locks(self) -> None:
        with self._free:
            held = [each for lane in self._lanes.values() for each in lane]
        for each in held:
            each.renew_if_due(self._queue)

    def _give_back(self) -> None:
        """What nobody has begun need not wait for its lock to run out."""
        with self._free:
            waiting = [held for lane in self._lanes.values() for held in list(lane)[1:]]
            for lane in self._lanes.values():
                while len(lane) > 1:
                    lane.pop()
            self._held -= len(waiting)
        for held in waiting:
            with suppress(QueueError):
                self._queue.retry_later(held.received, timedelta(0))
