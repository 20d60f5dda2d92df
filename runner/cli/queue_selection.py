"""Selects messages of a queue by number, id, age or reason, and handles many dead letters in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.queues.contract import MAX_SEQUENCE_NUMBER, DeadLetterNotFoundError, MessageQueue, PeekedMessage

_PAGE = 250
#: Dead letters handled in one call; Service Bus keeps them locked for its duration.
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which messages to select. Ages count from a message's arrival; None does not restrict."""

    reason: str | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    @property
    def narrows(self) -> bool:
        """Whether there is any restriction."""
        return self != Criteria()

    def meets(self, message: PeekedMessage, clock: Clock) -> bool:
        """Whether ``message`` satisfies all restrictions."""
        age = clock.now() - message.enqueued_at
        return (
            (self.reason is None or self.reason.casefold() == (message.dead_letter_reason or "").casefold())
            and (self.older_than is None or age > self.older_than)
            and (self.newer_than is None or age <= self.newer_than)
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters to handle; ``gone`` holds numbers that are not, or no longer, dead letters."""

    messages: Sequence[PeekedMessage]
    gone: Sequence[int] = ()


def browse(
    queue: MessageQueue,
    criteria: Criteria,
    limit: int | None = None,
    *,
    dead_letters: bool = False,
    clock: Clock | None = None,
) -> Iterator[PeekedMessage]:
    """The first ``limit`` messages that meet the criteria, in the order of their numbers, a page at a time."""
    clock = clock or SystemClock()
    found = (one for one in _all(queue, dead_letters=dead_letters) if criteria.meets(one, clock))
    return islice(found, limit)


def _all(queue: MessageQueue, *, dead_letters: bool) -> Iterator[PeekedMessage]:
    first = 0
    while page := queue.peek(_PAGE, first, dead_letters=dead_letters):
        yield from page
        first = page[-1].sequence_number + 1


def find(queue: MessageQueue, which: str) -> PeekedMessage | None:
    """The message with this sequence number or message id, dead letters first."""
    for dead_letters in (True, False):
        if _is_number(which) and (found := _numbered(queue, int(which), dead_letters=dead_letters)):
            return found
    for dead_letters in (True, False):
        for message in _all(queue, dead_letters=dead_letters):
            if message.message.message_id == which:
                return message
    return None


def _is_number(which: str) -> bool:
    return which.isdecimal() and len(which) <= len(str(MAX_SEQUENCE_NUMBER))


def numbered_dead_letters(queue: MessageQueue, numbers: Sequence[int]) -> Selection:
    """The dead letters with these sequence numbers."""
    found = {number: _numbered(queue, number, dead_letters=True) for number in numbers}
    return Selection(
        [message for message in found.values() if message is not None],
        [number for number, message in found.items() if message is None],
    )


def _numbered(queue: MessageQueue, number: int, *, dead_letters: bool) -> PeekedMessage | None:
    if number > MAX_SEQUENCE_NUMBER:
        return None
    page = queue.peek(1, number, dead_letters=dead_letters)
    return page[0] if page and page[0].sequence_number == number else None


def handle(
    selection: Selection, action: Callable[..., None], progress: Callable[[int], None] = lambda done: None
) -> Selection:
    """Call ``action`` with the numbers of all selected messages, in chunks.

    Returns those that were handled; dead letters that somebody else has handled in the meantime are among the gone.
    """
    gone = set(selection.gone)
    numbers = [message.sequence_number for message in selection.messages]
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        try:
            action(*chunk)
        except DeadLetterNotFoundError as error:
            gone |= set(error.sequence_numbers)
        progress(len(chunk))
    return Selection([one for one in selection.messages if one.sequence_number not in gone], sorted(gone))
