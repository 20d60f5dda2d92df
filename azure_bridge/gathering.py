"""Processes messages in batches that a host delivers one by one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from azure_bridge.processor import BATCH_SIZE
from azure_bridge.queues.contract import ReceivedMessage
from azure_bridge.settlement import Settlement


class Gathered:
    """Messages that arrive while a batch is being processed form the next batch; there is no timer.

    Each thread that delivers a message waits for its settlement; one of them processes the batch for all.
    """

    def __init__(
        self, process: Callable[[Sequence[ReceivedMessage]], Sequence[Settlement]], *, most: int = BATCH_SIZE
    ) -> None:
        self._process = process
        self._most = most
        self._waiting: deque[tuple[ReceivedMessage, Future[Settlement]]] = deque()
        self._turn = threading.Lock()

    def __call__(self, message: ReceivedMessage) -> Settlement:
        """The settlement of ``message``. Raises whatever ``process`` raised for its batch."""
        decision: Future[Settlement] = Future()
        self._waiting.append((message, decision))
        while not decision.done():
            with self._turn:
                if not decision.done():
                    self._process_waiting()
        return decision.result()

    def _process_waiting(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
        try:
            settlements = self._process([message for message, _ in batch])
            decided = {id(settlement.message): settlement for settlement in settlements}
            for message, decision in batch:
                decision.set_result(decided[id(message)])
        except BaseException as error:
            for _, decision in batch:
                if not decision.done():
                    decision.set_exception(error)
