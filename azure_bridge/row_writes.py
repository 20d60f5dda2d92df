"""Folds the events of one row into one conditional update, and sets aside those that are about another payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure_bridge.crm_rows import PaymentRow
from azure_bridge.minor_units import AmountError
from azure_bridge.payment_status import Standing, changes, standing
from azure_bridge.settlement import ANOTHER_INTENT_PAID, INVALID_MESSAGE, Decisions, QueuedEvent
from azure_bridge.tables import PaymentTable
from dataverse_client.operations import Operation, Update
from dataverse_client.types import Entity

NOTHING_NEW = "the row knows already"


@dataclass(frozen=True, slots=True)
class RowWrite:
    """One row's changes. ``told`` has the events they come from, each with the columns it added (None: nothing new)."""

    table: PaymentTable
    row_id: str
    operation: Operation
    told: Sequence[tuple[QueuedEvent, Mapping[str, Any] | None]]


def fold(row: PaymentRow, events: Sequence[QueuedEvent], decisions: Decisions) -> RowWrite | None:
    """The changes of all ``events`` to one row, as one conditional update."""
    table, entity = row.table, row.entity.copy()
    told = []
    for queued in events:
        verdict = standing(entity, queued.event, table)
        try:
            added = changes(entity, queued.event, table)
        except AmountError as error:
            decisions.dead_lettered(queued.message, queued.event, INVALID_MESSAGE, str(error))
            continue
        if added is None and verdict is not Standing.OWN:
            _set_aside(verdict, row, queued, decisions)
            continue
        entity.update(added or {})
        told.append((queued, added))
    written = {column: value for _, added in told for column, value in (added or {}).items()}
    if not written:
        for queued, _ in told:
            decisions.ignored(queued, NOTHING_NEW)
        return None
    update = Update(Entity(table.logical_name, entity.id, written), if_match=row.entity.row_version)
    return RowWrite(table, entity.id or "", update, told)


def _set_aside(verdict: Standing, row: PaymentRow, queued: QueuedEvent, decisions: Decisions) -> None:
    event, columns = queued.event, row.table.columns
    own = row.entity.get(columns.intent_id) or row.entity.get(columns.checkout_session_id or "")
    place = f"{row.table.logical_name} {row.entity.id}"
    if verdict is Standing.SUPERSEDED:
        decisions.ignored(queued, f"{place} has left {event.subject} behind")
        return
    decisions.dead_lettered(
        queued.message,
        event,
        ANOTHER_INTENT_PAID,
        f"{event.event_type} moved money on {event.subject}, but {place} stands for "
        f"{own or 'another'}: see both in Stripe, and refund the one that should not have been paid",
    )
