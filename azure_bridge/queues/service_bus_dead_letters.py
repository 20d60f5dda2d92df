"""Removes single dead letters from a Service Bus sub-queue, which delivers them only from the front."""

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
    """The dead letters of ``queue``. After ``wait`` seconds without a message, the sub-queue counts as empty."""

    def __init__(self, queue: str, shared: SharedReceiver, wait: float) -> None:
        self._queue = queue
        self._shared = shared
        self._wait = wait

    def remove(self, sequence_numbers: Sequence[int], before: _Action) -> None:
        """Call ``before`` with each of them, then remove it. Dead letters in front of them are locked meanwhile.

        Raises:
          DeadLetterNotFoundError: some are not dead letters; the others are removed.
          QueueUnavailableError: somebody else has locked some of them; the others are removed.
        """
        with self._shared.use() as receiver:
            unknown = [number for number in sequence_numbers if not _is_there(receiver, number)]
            locked = self._pick(receiver, set(sequence_numbers) - set(unknown), before)
        if unknown:
            raise DeadLetterNotFoundError(self._queue, unknown)
        if locked:
            numbers = ", ".join(map(str, sorted(locked)))
            raise QueueUnavailableError(
                f"Somebody else holds the dead letters {numbers} of queue {self._queue}. Try again in a few minutes."
            )

    def _pick(self, receiver: ServiceBusReceiver, wanted: set[int], before: _Action) -> set[int]:
        """Returns the numbers that could not be removed."""
        held: dict[int, ServiceBusReceivedMessage] = {}
        try:
            while wanted - held.keys() and (page := self._next(receiver, held)):
                held |= page
                for number in sorted(wanted & page.keys()):
                    before(page[number])
                    # If its lock ran out meanwhile, it stays wanted: somebody else may have it now.
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
        """The next messages that are not in ``held``. Empty at the end, or when only those come whose locks ran out."""
        page = receiver.receive_messages(_PAGE, max_wait_time=self._wait)
        return {number: message for message in page if (number := message.sequence_number or 0) not in held}


def _is_there(receiver: ServiceBusReceiver, sequence_number: int) -> bool:
    found = receiver.peek_messages(1, sequence_number=sequence_number)
    return bool(found) and found[0].sequence_number == sequence_number
