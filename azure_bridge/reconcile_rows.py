"""CRM's rows that wait for money, beside the intents they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from azure_bridge.crm_rows import CrmClient, PaymentRow
from azure_bridge.payment_status import status_shown
from azure_bridge.reconcile_differences import Difference, Kind, OfferRow
from azure_bridge.reconcile_intents import IntentComparison
from azure_bridge.stripe_events import StripeObject
from azure_bridge.tables import PaymentStatus, PaymentTable
from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityCollection,
    FilterExpression,
    LogicalOperator,
    Money,
    OrderExpression,
    PagingInfo,
    QueryExpression,
)

if TYPE_CHECKING:
    import stripe

PAGE = 100
MODIFIED = "modifiedon"

#: No event is due for a row in another status.
_WAITING = frozenset(
    {
        PaymentStatus.DRAFT,
        PaymentStatus.PENDING,
        PaymentStatus.REQUIRES_ACTION,
        PaymentStatus.PROCESSING,
        PaymentStatus.AUTHORIZED,
        PaymentStatus.FAILED,
    }
)
#: Another status without an intent records a payment made elsewhere, or one given up before it began.
_TO_BE_COLLECTED = frozenset({PaymentStatus.DRAFT, PaymentStatus.PENDING})


class RowComparison:
    """Finds rows whose intent is missing, or older than the intents that were compared. Changes nothing."""

    def __init__(self, client: CrmClient, stripe_client: stripe.StripeClient, intents: IntentComparison) -> None:
        self._client = client
        self._stripe = stripe_client.v1
        self._intents = intents

    def pages(self, table: PaymentTable, since: datetime, until: datetime) -> Iterator[Sequence[Entity]]:
        """Rows of ``table`` that wait for money and were changed in that time, the longest ago first.

        Raises:
          DataverseError: a query failed.
        """
        cookie, more = None, True
        while more:
            page = self._page(table, since, until, cookie)
            yield page.entities
            cookie, more = page.paging_cookie, page.more_records

    def _page(self, table: PaymentTable, since: datetime, until: datetime, cookie: str | None) -> EntityCollection:
        waiting = tuple(table.statuses[status] for status in sorted(_WAITING & table.statuses.keys()))
        unsaid = ConditionExpression(table.columns.status, ConditionOperator.NULL)
        said = ConditionExpression(table.columns.status, ConditionOperator.IN, waiting)
        status = FilterExpression(LogicalOperator.OR, (unsaid, said) if waiting else (unsaid,))
        changed = (
            ConditionExpression(MODIFIED, ConditionOperator.GREATER_EQUAL, (since,)),
            ConditionExpression(MODIFIED, ConditionOperator.LESS_EQUAL, (until,)),
        )
        return self._client.retrieve_multiple(
            QueryExpression(
                table.logical_name,
                (*table.compared_columns(), MODIFIED),
                FilterExpression(conditions=changed, filters=(status,)),
                (OrderExpression(MODIFIED),),
                page_info=PagingInfo(PAGE, paging_cookie=cookie),
            )
        )

    def compare(self, table: PaymentTable, entity: Entity, since: datetime, until: datetime) -> list[Difference]:
        """What differs for this row. Intents made after ``since`` have been compared; only their absence is told.

        What changed after ``until`` is still on its way.

        Raises:
          DataverseError, StripeError: one of the two could not be asked.
        """
        columns = table.columns
        if intent_id := entity.get(columns.intent_id):
            return self._compare_with(PaymentRow(table, entity), intent_id, since, until)
        visited = columns.checkout_session_id and entity.get(columns.checkout_session_id)
        amount = entity.get(table.amount) if table.amount else None
        is_due = isinstance(amount, Money) and amount.value > 0 and status_shown(entity, table) in _TO_BE_COLLECTED
        if visited or not is_due:
            return []
        remedy = OfferRow(Entity(table.logical_name, entity.id, {str(table.amount): amount}), entity.row_version)
        return [_without_intent(PaymentRow(table, entity), "it has an amount, and no intent to pay it with", remedy)]

    def _compare_with(self, row: PaymentRow, intent_id: str, since: datetime, until: datetime) -> list[Difference]:
        intent = self._retrieve(intent_id)
        if intent is None:
            column = row.table.columns.intent_id
            detail = f"Stripe does not know {intent_id}. If this is the right account, clear {column} and fix again"
            return [_without_intent(row, detail, None)]
        is_old = intent["created"] < int(since.timestamp())
        return self._intents.compare_with(row, intent, until) if is_old else []

    def _retrieve(self, intent_id: str) -> StripeObject | None:
        import stripe

        try:
            intent = self._stripe.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]})
        except stripe.InvalidRequestError as error:
            if error.http_status != 404:
                raise
            return None
        found: StripeObject = intent.to_dict()
        return found


def _without_intent(row: PaymentRow, detail: str, remedy: OfferRow | None) -> Difference:
    return Difference(
        kind=Kind.ROW_WITHOUT_INTENT,
        table=row.table.logical_name,
        row_id=row.entity.id,
        intent_id=row.entity.get(row.table.columns.intent_id),
        detail=detail,
        remedy=remedy,
    )
