"""Compares CRM's rows that wait for money with the intents whose ids they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from azure_bridge.crm_rows import CrmClient, PaymentRow
from azure_bridge.payment_status import status_shown
from azure_bridge.reconcile.differences import Difference, Kind, OfferRow
from azure_bridge.reconcile.intents import IntentComparison
from azure_bridge.reconcile.stripe_now import last_change
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
    OptionSetValue,
    OrderExpression,
    PagingInfo,
    QueryExpression,
)

if TYPE_CHECKING:
    import stripe

PAGE = 100
MODIFIED, STATE = "modifiedon", "statecode"

#: A row with any other status waits for no event.
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
#: A row with any other status and no intent was paid outside Stripe, or canceled before anything was created.
_TO_BE_COLLECTED = frozenset({PaymentStatus.DRAFT, PaymentStatus.PENDING})


class RowComparison:
    """Finds rows without an intent, and compares rows whose intent is older than the period of the run. Read-only."""

    def __init__(self, client: CrmClient, stripe_client: stripe.StripeClient, intents: IntentComparison) -> None:
        self._client = client
        self._stripe = stripe_client.v1
        self._intents = intents

    def pages(self, table: PaymentTable, since: datetime, until: datetime) -> Iterator[Sequence[Entity]]:
        """Rows of ``table`` that wait for money and were modified in that period, oldest change first.

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
                (*table.compared_columns(), MODIFIED, STATE),
                FilterExpression(conditions=changed, filters=(status,)),
                (OrderExpression(MODIFIED),),
                page_info=PagingInfo(PAGE, paging_cookie=cookie),
            )
        )

    def compare(self, table: PaymentTable, entity: Entity, since: datetime, until: datetime) -> list[Difference]:
        """The differences of one row.

        Intents created after ``since`` were compared in the pass before, so for those only a missing one is reported;
        intents that changed after ``until`` are skipped.

        Raises:
          DataverseError, StripeError: one of the two could not be read.
        """
        columns = table.columns
        if intent_id := entity.get(columns.intent_id):
            return self._compare_with(PaymentRow(table, entity), intent_id, since, until)
        if columns.checkout_session_id and (session_id := entity.get(columns.checkout_session_id)):
            return self._compare_visit(PaymentRow(table, entity), session_id, until)
        due = _amount_due(table, entity)
        if due is None:
            return []
        remedy = OfferRow(Entity(table.logical_name, entity.id, {str(table.amount): due}), entity.row_version)
        return [_without_intent(PaymentRow(table, entity), "it has an amount, and no intent to pay it with", remedy)]

    def _compare_with(self, row: PaymentRow, intent_id: str, since: datetime, until: datetime) -> list[Difference]:
        intent = self._retrieve(self._stripe.payment_intents, intent_id, {"expand": ["latest_charge"]})
        if intent is None:
            return [_unknown(row, intent_id, row.table.columns.intent_id)]
        is_old = intent["created"] < int(since.timestamp())
        return self._intents.compare_with(row, intent, until) if is_old else []

    def _compare_visit(self, row: PaymentRow, session_id: str, until: datetime) -> list[Difference]:
        """An open session agrees with any row. How it ended, Stripe may know longer than it keeps events."""
        session = self._retrieve(
            self._stripe.checkout.sessions, session_id, {"expand": ["payment_intent.latest_charge"]}
        )
        if session is None:
            return [_unknown(row, session_id, str(row.table.columns.checkout_session_id))]
        intent = session["payment_intent"]
        changed = last_change(intent) if intent else session["expires_at"]
        if session["status"] == "open" or changed > until.timestamp():
            return []
        return self._intents.compare_visit(row, session, until)

    def _retrieve(self, service: Any, stripe_id: str, params: Mapping[str, Any]) -> StripeObject | None:
        import stripe

        try:
            found: StripeObject = service.retrieve(stripe_id, params).to_dict()
        except stripe.InvalidRequestError as error:
            if error.http_status != 404:
                raise
            return None
        return found


def _amount_due(table: PaymentTable, entity: Entity) -> Money | None:
    """What a row without an intent should have one for; None when nothing is to be collected for it."""
    amount = entity.get(table.amount) if table.amount else None
    waits = status_shown(entity, table) in _TO_BE_COLLECTED and entity.get(STATE) != OptionSetValue(table.closed_state)
    return amount if waits and isinstance(amount, Money) and amount.value > 0 else None


def _unknown(row: PaymentRow, stripe_id: str, column: str) -> Difference:
    detail = f"Stripe does not know {stripe_id}. If this is the right account, clear {column} and fix again"
    return _without_intent(row, detail, None)


def _without_intent(row: PaymentRow, detail: str, remedy: OfferRow | None) -> Difference:
    return Difference(
        kind=Kind.ROW_WITHOUT_INTENT,
        table=row.table.logical_name,
        row_id=row.entity.id,
        intent_id=row.entity.get(row.table.columns.intent_id),
        detail=detail,
        remedy=remedy,
    )
