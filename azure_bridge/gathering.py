"""Processes messages in batches that a host delivers one by one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeAlias

from azure_bridge.processor import BATCH_SIZE
from azure_bridge.queues.contract import ReceivedMessage
from azure_bridge.settlement import Settlement

_Delivered: TypeAlias = tuple[ReceivedMessage, Future[Settlement]]


class Gathered:
    """Messages that arrive while a batch is being processed form the next batch; there is no timer.

    Each thread that delivers a message waits for its settlement; one of them processes the batch for all.
    """

    def __init__(
        self, process: Callable[[Sequence[ReceivedMessage]], Sequence[Settlement]], *, most: int = BATCH_SIZE
    ) -> None:
        self._process = process
        self._most = most
        self._waiting: deque[_Delivered] = deque()
        self._turn = threading.Lock()

    def __call__(self, message: ReceivedMessage) -> Settlement:
        """The settlement of ``message``. Raises whatever ``process`` raised for it alone."""
        decision: Future[Settlement] = Future()
        self._waiting.append((message, decision))
        while not decision.done():
            with self._turn:
                if not decision.done():
                    self._process_waiting()
        return decision.result()

    def _process_waiting(self) -> None:
        self._decide([self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))])

    def _decide(self, batch: Sequence[_Delivered]) -> None:
        try:
            settlements = self._process([message for message, _ in batch])
            decided = {id(settlement.message): settlement for settlement in settlements}
            in_order = [decided[id(message)] for message, _ in batch]
        except BaseException as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            # One that breaks the processor would make dead letters of all that happened to come with it.
            for each in batch:
                self._decide([each])
        else:
            for (_, decision), settlement in zip(batch, in_order, strict=True):
                decision.set_result(settlement)
