"""Messages that a host hands over one by one, processed together all the same."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from azure_bridge.processor import BATCH_SIZE
from azure_bridge.queues.contract import ReceivedMessage
from azure_bridge.settlement import Settlement


class Gathered:
    """Whatever arrives while a batch is at work is the next batch. Nobody waits for a timer.

    Each thread that brings a message waits for what is decided about it; the one whose turn it is processes for all.
    """

    def __init__(
        self, process: Callable[[Sequence[ReceivedMessage]], Sequence[Settlement]], *, most: int = BATCH_SIZE
    ) -> None:
        self._process = process
        self._most = most
        self._waiting: deque[tuple[ReceivedMessage, Future[Settlement]]] = deque()
        self._turn = threading.Lock()

    def __call__(self, message: ReceivedMessage) -> Settlement:
        """Raises whatever ``process`` raised for the batch the message was in."""
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
