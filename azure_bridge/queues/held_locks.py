"""Messages under lock, and how their locks outlast the work on them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from azure_bridge.clock import Clock
from azure_bridge.queues.contract import MessageLockLostError, MessageQueue, QueueError, ReceivedMessage

#: How often a thread that keeps locks looks at the time.
_LOOK_AGAIN_SECONDS = 0.5


class Held:
    """A message of ours under its current lock. ``half_time`` is when the lock is to be renewed."""

    def __init__(self, received: ReceivedMessage, clock: Clock) -> None:
        self._clock = clock
        self.is_lost = False
        self._take(received)

    def renew_if_due(self, queue: MessageQueue) -> None:
        """A lock that is lost is noted, and not asked for again. Raises QueueUnavailableError."""
        if self.is_lost or self._clock.now() < self.half_time:
            return
        try:
            self._take(queue.renew(self.received))
        except MessageLockLostError:
            # The message comes again; what has begun is finished, and does nothing twice.
            self.is_lost = True

    def _take(self, received: ReceivedMessage) -> None:
        now = self._clock.now()
        self.received = received
        self.half_time = now + (received.locked_until - now) / 2


@contextmanager
def locks_kept(queue: MessageQueue, messages: Sequence[ReceivedMessage], clock: Clock) -> Iterator[None]:
    """Until the block ends, a thread renews the locks in time. Who settles a message learns whether its was lost."""
    ended = threading.Event()
    held = [Held(message, clock) for message in messages]
    keeper = threading.Thread(target=_keep, args=(queue, held, ended), name=f"locks of {queue.name}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def _keep(queue: MessageQueue, held: Iterable[Held], ended: threading.Event) -> None:
    while not ended.wait(_LOOK_AGAIN_SECONDS):
        for each in held:
            # A queue that is away for a moment is asked again at the next look.
            with suppress(QueueError):
                each.renew_if_due(queue)
