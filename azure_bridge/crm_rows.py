"""Finds the rows that a batch of events is about, with one query for each table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from azure_bridge.payment_event import PaymentEvent
from azure_bridge.tables import PaymentTable
from dataverse_client.operations import BatchResult, Operation
from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityCollection,
    FilterExpression,
    LogicalOperator,
    QueryExpression,
)

if TYPE_CHECKING:
    from dataverse_client.client import WhoAmI


class CrmClient(Protocol):
    """The methods of ``DataverseClient`` that the bridge uses."""

    def who_am_i(self) -> WhoAmI: ...
    def retrieve_multiple(self, query: QueryExpression) -> EntityCollection: ...
    def batch(self, operations: Sequence[Operation]) -> Sequence[BatchResult]:
        """One result for each operation, in order; an operation that failed does not stop the others."""


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A row as it was read, and the table it is in."""

    table: PaymentTable
    entity: Entity


@dataclass(slots=True)
class _RowIndex:
    """The rows of one table, by each of the ids that an event may have."""

    table: PaymentTable
    by_row: dict[str, PaymentRow] = field(default_factory=dict)
    by_intent: dict[str, PaymentRow] = field(default_factory=dict)
    by_session: dict[str, PaymentRow] = field(default_factory=dict)

    def put(self, entity: Entity) -> None:
        row, columns = PaymentRow(self.table, entity), self.table.columns
        self.by_row[entity.id or ""] = row
        self.by_intent[entity.get(columns.intent_id) or ""] = row
        if columns.checkout_session_id:
            self.by_session[entity.get(columns.checkout_session_id) or ""] = row

    def named(self, event: PaymentEvent) -> PaymentRow | None:
        """The row whose id is in the event's metadata."""
        return self.by_row.get(event.row_id or "-") if event.row_table == self.table.logical_name else None


def find_rows(
    client: CrmClient, events: Sequence[PaymentEvent], tables: Sequence[PaymentTable], *, to_compare: bool = False
) -> list[PaymentRow | None]:
    """The row of each event: the one its metadata names, else its intent's, else its checkout session's.

    Metadata can be edited in Stripe's Dashboard, so a row that holds the intent comes before one that is only named.

    ``to_compare`` reads the amount and the currency too.

    Raises:
      DataverseError: a query failed.
    """
    indexes = [_fetch(client, table, _concerning(table, events, tables), to_compare) for table in tables]
    return [_match(event, indexes) for event in events]


def _concerning(
    table: PaymentTable, events: Sequence[PaymentEvent], tables: Sequence[PaymentTable]
) -> list[PaymentEvent]:
    """The events to look up in ``table``: those that name it, and those that name none of our tables."""
    names = {each.logical_name for each in tables}
    return [event for event in events if event.row_table == table.logical_name or event.row_table not in names]


def _fetch(client: CrmClient, table: PaymentTable, events: Sequence[PaymentEvent], to_compare: bool) -> _RowIndex:
    index, columns = _RowIndex(table), table.columns
    wanted: dict[str | None, set[str | None]] = {
        table.primary_id: {event.row_id for event in events if event.row_table == table.logical_name},
        columns.intent_id: {event.intent_id for event in events},
        columns.checkout_session_id: {event.checkout_session_id for event in events},
    }
    conditions = _any_of(wanted)
    if conditions:
        criteria = FilterExpression(LogicalOperator.OR, conditions)
        read = table.compared_columns() if to_compare else columns.names()
        for entity in client.retrieve_multiple(QueryExpression(table.logical_name, read, criteria)):
            index.put(entity)
    return index


def _any_of(wanted: Mapping[str | None, Collection[str | None]]) -> tuple[ConditionExpression, ...]:
    known = {column: sorted(filter(None, values)) for column, values in wanted.items() if column}
    return tuple(
        ConditionExpression(column, ConditionOperator.IN, tuple(values)) for column, values in known.items() if values
    )


def _match(event: PaymentEvent, indexes: Sequence[_RowIndex]) -> PaymentRow | None:
    named = next((row for each in indexes if (row := each.named(event))), None)
    paid = next((row for each in indexes if (row := each.by_intent.get(event.intent_id or "-"))), None)
    visited = next((row for each in indexes if (row := each.by_session.get(event.checkout_session_id or "-"))), None)
    if named and paid and _intent_of(named) != event.intent_id:
        return paid
    return named or paid or visited


def _intent_of(row: PaymentRow) -> str | None:
    intent: str | None = row.entity.get(row.table.columns.intent_id)
    return intent
