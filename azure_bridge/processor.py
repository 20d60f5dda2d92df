"""Applies queued events to CRM rows in batches: one query per table, one ``$batch``, one settlement per message.

A real environment allows a user 6,000 requests in five minutes, so the number of requests per event limits what a
deployment can process. A single event is a batch of one. No state is kept between batches: after a crash messages are
delivered again, and an event that was already applied changes nothing.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/api-limits
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.crm_rows import CrmClient, PaymentRow, find_rows
from azure_bridge.errors import PaymentEventError
from azure_bridge.minor_units import AmountError
from azure_bridge.observer import BridgeObserver, SilentObserver
from azure_bridge.once import Once
from azure_bridge.payment_event import PaymentEvent, decode
from azure_bridge.queues.contract import MessageQueue, ReceivedMessage
from azure_bridge.queues.held_locks import locks_kept
from azure_bridge.row_writes import NOTHING_NEW, RowWrite, fold
from azure_bridge.sales_orders import CurrencyMissingError, SalesOrders
from azure_bridge.settlement import (
    INVALID_MESSAGE,
    REJECTED_BY_CRM,
    ROW_NOT_FOUND,
    Complete,
    DeadLetter,
    Decisions,
    QueuedEvent,
    RetryLater,
    RetryPolicy,
    Settlement,
    settle,
)
from azure_bridge.tables import BridgeConfiguration
from dataverse_client.errors import (
    AuthenticationError,
    ConcurrencyConflictError,
    DataverseError,
    DuplicateRecordError,
    NotFoundError,
    PluginRefusedError,
    ThrottledError,
    UnexpectedResponseError,
)
from dataverse_client.operations import Create

#: How often rows that were changed in the meantime are read again at once.
MAX_ROUNDS = 3
BATCH_SIZE = 100

#: Errors that mean the row has changed since it was read.
_READ_AGAIN = (ConcurrencyConflictError, NotFoundError, DuplicateRecordError)
#: When a row is deleted or rolled back, its intent is canceled: events that are expected not to find a row. The earlier
#: ones of an intent that was not paid may come even later.
_UNPAID = frozenset(
    {
        "payment_intent.canceled",
        "payment_intent.payment_failed",
        "payment_intent.requires_action",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)


_Refused: TypeAlias = tuple[QueuedEvent, DataverseError]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSummary:
    """How many messages were settled in which way. ``completed`` counts applied and ignored events."""

    completed: int = 0
    retry_later: int = 0
    dead_lettered: int = 0

    def plus(self, settlements: Sequence[Settlement]) -> DrainSummary:
        kinds = Counter(type(settlement) for settlement in settlements)
        return DrainSummary(
            completed=self.completed + kinds[Complete],
            retry_later=self.retry_later + kinds[RetryLater],
            dead_lettered=self.dead_lettered + kinds[DeadLetter],
        )


class PaymentProcessor:
    """Applies payment events to CRM rows. Threads may share it if they may share ``client``."""

    def __init__(
        self,
        client: CrmClient,
        configuration: BridgeConfiguration,
        *,
        observer: BridgeObserver | None = None,
        retries: RetryPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._configuration = configuration
        self._clock = clock or SystemClock()
        self._orders = SalesOrders(client, configuration)
        self._organization_id = Once(lambda: configuration.organization_id or client.who_am_i().organization_id)
        self._observer = observer or SilentObserver()
        self._retries = retries or RetryPolicy()

    def drain(
        self,
        queue: MessageQueue,
        *,
        until: Callable[[], bool] | None = None,
        max_wait: timedelta = timedelta(seconds=1),
        batch_size: int = BATCH_SIZE,
    ) -> DrainSummary:
        """Process messages until the queue is empty or, with ``until``, until that returns true.

        ``max_wait`` is how long to wait for the next message before ``until`` is called again.

        Raises:
          QueueUnavailableError: messages that were received and not settled will be delivered again.
          Exception: a message broke the processor. It will be delivered again; the others of its batch are settled.
        """
        summary = DrainSummary()
        while until is None or not until():
            messages = queue.receive(batch_size, max_wait if until else timedelta(0))
            if messages:
                # When CRM throttles us, the wait may be longer than a lock lasts.
                with locks_kept(queue, messages, self._clock):
                    summary = summary.plus(self._settled(queue, messages))
            elif until is None:
                break
        return summary

    def _settled(self, queue: MessageQueue, messages: Sequence[ReceivedMessage]) -> list[Settlement]:
        """Process and settle the messages. One that breaks the processor comes again, and takes no other along."""
        try:
            settlements = self.process(messages)
        except Exception:
            if len(messages) == 1:
                raise
            return self._settled_one_by_one(queue, messages)
        settle(queue, settlements)
        return settlements

    def _settled_one_by_one(self, queue: MessageQueue, messages: Sequence[ReceivedMessage]) -> list[Settlement]:
        settlements: list[Settlement] = []
        broken: Exception | None = None
        for message in messages:
            try:
                settlements += self._settled(queue, [message])
            except Exception as error:
                broken = error
        if broken is not None:
            raise broken
        return settlements

    def process(self, messages: Sequence[ReceivedMessage]) -> list[Settlement]:
        """Apply the messages' events, and decide how each message is to be settled. Settles none itself."""
        decisions = Decisions(self._observer, self._retries)
        waiting = self._admit(messages, decisions)
        refused: list[_Refused] = []
        for _ in range(MAX_ROUNDS):
            if waiting:
                refused = self._round(waiting, decisions)
                waiting = [queued for queued, _ in refused]
        for queued, error in refused:
            decisions.retry_later_or_dead_letter(queued, REJECTED_BY_CRM, str(error))
        return decisions.settlements

    def _admit(self, messages: Sequence[ReceivedMessage], decisions: Decisions) -> list[QueuedEvent]:
        """The events that are of our organization, or name none. Decides about all others."""
        decoded = [queued for message in messages if (queued := _decoded(message, decisions))]
        try:
            names_one = any(queued.event.organization_id for queued in decoded)
            ours = self._organization_id().lower() if names_one else None
        except DataverseError as error:
            _wait_for_crm(decoded, error, decisions)
            return []
        for queued in decoded:
            if (named := queued.event.organization_id) not in (None, ours):
                decisions.ignored(queued, f"it belongs to organization {named}")
        return [queued for queued in decoded if queued.event.organization_id in (None, ours)]

    def _round(self, waiting: Sequence[QueuedEvent], decisions: Decisions) -> list[_Refused]:
        """Read the rows, write them, decide. Returns the events whose rows had changed in the meantime."""
        try:
            rows = find_rows(self._client, [queued.event for queued in waiting], self._configuration.tables)
        except DataverseError as error:
            _wait_for_crm(waiting, error, decisions)
            return []
        writes = self._writes(waiting, rows, decisions)
        results = self._client.batch([write.operation for write in writes]) if writes else []
        again: list[_Refused] = []
        for write, result in zip(writes, results, strict=True):
            if isinstance(result.error, _READ_AGAIN):
                again += [(queued, result.error) for queued, _ in write.told]
            else:
                self._conclude(write, result.error, decisions)
        return again

    def _writes(
        self, waiting: Sequence[QueuedEvent], rows: Sequence[PaymentRow | None], decisions: Decisions
    ) -> list[RowWrite]:
        grouped: dict[tuple[str, str | None], tuple[PaymentRow, list[QueuedEvent]]] = {}
        writes: list[RowWrite | None] = []
        for queued, row in zip(waiting, rows, strict=True):
            if row is None:
                writes.append(self._without_row(queued, decisions))
            else:
                grouped.setdefault((row.table.logical_name, row.entity.id), (row, []))[1].append(queued)
        writes += [fold(row, events, decisions) for row, events in grouped.values()]
        return [write for write in writes if write is not None]

    def _without_row(self, queued: QueuedEvent, decisions: Decisions) -> RowWrite | None:
        event = queued.event
        table = self._orders.table_for(event)
        if table is None:
            if event.event_type in _UNPAID and decisions.is_last_attempt(queued):
                decisions.ignored(queued, "nothing was paid, and its row is gone")
            else:
                decisions.retry_later_or_dead_letter(queued, ROW_NOT_FOUND, _not_found(event))
            return None
        try:
            order, told = self._orders.order(event, table)
        except (CurrencyMissingError, AmountError) as error:
            decisions.dead_lettered(queued.message, event, REJECTED_BY_CRM, str(error))
        except DataverseError as error:
            decisions.retry_later(queued, str(error), at_least=_delay_asked(error))
        else:
            return RowWrite(table, order.id or "", Create(order), [(queued, told)])
        return None

    def _conclude(self, write: RowWrite, error: DataverseError | None, decisions: Decisions) -> None:
        for queued, told in write.told:
            if error is not None:
                _after(error, queued, decisions)
            elif told is None:
                decisions.ignored(queued, NOTHING_NEW)
            else:
                decisions.applied(queued, write.table.logical_name, write.row_id, told)


def _decoded(message: ReceivedMessage, decisions: Decisions) -> QueuedEvent | None:
    try:
        return QueuedEvent(message, decode(message.message.body))
    except PaymentEventError as error:
        decisions.dead_lettered(message, None, INVALID_MESSAGE, str(error))
        return None


def _wait_for_crm(waiting: Sequence[QueuedEvent], error: DataverseError, decisions: Decisions) -> None:
    for queued in waiting:
        decisions.retry_later(queued, str(error), at_least=_delay_asked(error))


def _after(error: DataverseError, queued: QueuedEvent, decisions: Decisions) -> None:
    """Decide about an event whose row could not be written: errors that are not the event's fault are waited for."""
    if error.is_transient or isinstance(error, AuthenticationError):
        decisions.retry_later(queued, str(error), at_least=_delay_asked(error))
    elif isinstance(error, UnexpectedResponseError) or (isinstance(error, PluginRefusedError) and error.asks_for_retry):
        decisions.retry_later_or_dead_letter(queued, REJECTED_BY_CRM, str(error))
    else:
        decisions.dead_lettered(queued.message, queued.event, REJECTED_BY_CRM, str(error))


def _delay_asked(error: DataverseError) -> timedelta:
    return timedelta(seconds=(error.retry_after or 0) if isinstance(error, ThrottledError) else 0)


def _not_found(event: PaymentEvent) -> str:
    if event.row_id:
        return f"{event.row_table} {event.row_id} does not exist: it was deleted, or never saved"
    return f"no row has {event.subject}, and its metadata names none"
