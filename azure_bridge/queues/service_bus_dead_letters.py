"""Picking single dead letters out of a Service Bus sub-queue, which hands them out from the front only."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from typing import TypeAlias

from azure.servicebus import ServiceBusReceivedMessage, ServiceBusReceiver

from azure_bridge.queues.contract import DeadLetterNotFoundError, QueueUnavailableError
from azure_bridge.queues.service_bus_errors import LOCK_LOST
from azure_bridge.queues.service_bus_links import SharedReceiver

_PAGE = 100

_Action: TypeAlias = Callable[[ServiceBusReceivedMessage], None]


class DeadLetters:
    """The dead letters of ``queue``. ``wait`` is in seconds: how long nothing must come to be the end."""

    def __init__(self, queue: str, shared: SharedReceiver, wait: float) -> None:
        self._queue = queue
        self._shared = shared
        self._wait = wait

    def remove(self, sequence_numbers: Sequence[int], before: _Action) -> None:
        """Do ``before`` to each of them, then remove it. Those before them in the queue are locked meanwhile.

        Raises:
          DeadLetterNotFoundError: some are no dead letters; the others are removed.
          QueueUnavailableError: some are held by somebody else; the others are removed.
        """
        with self._shared.use() as receiver:
            unknown = [number for number in sequence_numbers if not _is_there(receiver, number)]
            locked = self._pick(receiver, set(sequence_numbers) - set(unknown), before)
        if unknown:
            raise DeadLetterNotFoundError(self._queue, unknown)
        if locked:
            numbers = ", ".join(map(str, sorted(locked)))
            raise QueueUnavailableError(
                f"Somebody else holds the dead letters {numbers} of queue {self._queue}. Try again when they let go."
            )

    def _pick(self, receiver: ServiceBusReceiver, wanted: set[int], before: _Action) -> set[int]:
        """Returns those that could not be had."""
        held: dict[int, ServiceBusReceivedMessage] = {}
        try:
            while wanted - held.keys() and (page := self._next(receiver, held)):
                held |= page
                for number in sorted(wanted & page.keys()):
                    before(page[number])
                    # One whose lock ran out under way stays wanted: somebody else may have it now.
                    with suppress(*LOCK_LOST):
                        receiver.complete_message(page[number])
                        wanted.remove(number)
                        del held[number]
        finally:
            for message in held.values():
                with suppress(*LOCK_LOST):
                    receiver.abandon_message(message)
        return wanted

    def _next(self, receiver: ServiceBusReceiver, held: Container[int]) -> dict[int, ServiceBusReceivedMessage]:
        """Empty at the end, which is also where those come again whose locks ran out meanwhile."""
        page = receiver.receive_messages(_PAGE, max_wait_time=self._wait)
        return {number: message for message in page if (number := message.sequence_number or 0) not in held}


def _is_there(receiver: ServiceBusReceiver, sequence_number: int) -> bool:
    found = receiver.peek_messages(1, sequence_number=sequence_number)
    return bool(found) and found[0].sequence_number == sequence_number
