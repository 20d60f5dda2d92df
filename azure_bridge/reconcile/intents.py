"""Compares Stripe's intents with the rows they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

from azure_bridge.clock import Clock
from azure_bridge.crm_rows import CrmClient, PaymentRow, find_rows
from azure_bridge.minor_units import AmountError, Rounding, from_minor_units, to_minor_units
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.payment_status import Standing, changes, standing, status_shown
from azure_bridge.reconcile.differences import (
    ApplyEvents,
    CancelIntent,
    CancellationReason,
    ChangeIntent,
    Difference,
    Kind,
    Remedy,
)
from azure_bridge.reconcile.stripe_now import (
    AGREEING,
    charge_event,
    charge_of,
    dispute_event,
    intent_event,
    is_canceled,
    is_open,
    last_change,
    refund_event,
    session_event,
)
from azure_bridge.stripe_events import StripeObject
from azure_bridge.tables import BridgeConfiguration
from dataverse_client.types import Entity, EntityReference, Money, QueryExpression

if TYPE_CHECKING:
    import stripe


class IntentComparison:
    """Finds differences between intents, as Stripe has them now, and their rows. Read-only.

    Every method raises ``DataverseError`` and ``StripeError``.
    """

    def __init__(
        self, client: CrmClient, stripe_client: stripe.StripeClient, configuration: BridgeConfiguration, clock: Clock
    ) -> None:
        self._client = client
        self._stripe = stripe_client.v1
        self._configuration = configuration
        self._clock = clock
        self._currencies: dict[str, str] | None = None

    def compare(self, intents: Sequence[StripeObject], until: datetime) -> list[Difference]:
        """The differences of these intents, found with one query per table. Any changed after ``until`` is skipped."""
        due = self._due(intents, until)
        events = [event for _, event in due]
        rows = find_rows(self._client, events, self._configuration.tables, to_compare=True)
        found = (self._differences(intent, event, row, until) for (intent, event), row in zip(due, rows, strict=True))
        return list(chain.from_iterable(found))

    def compare_with(self, row: PaymentRow, intent: StripeObject, until: datetime) -> list[Difference]:
        """The differences between a row, read with its ``compared_columns``, and the intent whose id it holds."""
        found = (self._differences(each, event, row, until) for each, event in self._due([intent], until))
        return list(chain.from_iterable(found))

    def compare_visit(self, row: PaymentRow, session: StripeObject, until: datetime) -> list[Difference]:
        """The differences between a row that holds no intent and its checkout session, which is no longer open."""
        event = session_event(session, self._configuration.tables, self._clock.now())
        changed = {} if self._configuration.is_foreign(event.organization_id) else _fold(row, [event])
        if row.table.columns.status not in changed:
            return []
        shown, now = status_shown(row.entity, row.table), status_shown(_after(row, changed).entity, row.table)
        detail = f"its session is {session['status']}: the row says {shown}, and should say {now}"
        return [_about(row, event, Kind.STATUS, detail, ApplyEvents((event,)))]

    def _due(self, intents: Sequence[StripeObject], until: datetime) -> list[tuple[StripeObject, PaymentEvent]]:
        """The intents of our organization that did not change after ``until``, each with its status as an event."""
        tables, now = self._configuration.tables, self._clock.now()
        settled = (intent for intent in intents if last_change(intent) <= until.timestamp())
        pairs = ((intent, intent_event(intent, tables, now)) for intent in settled)
        return [(intent, event) for intent, event in pairs if not self._configuration.is_foreign(event.organization_id)]

    def _differences(
        self, intent: StripeObject, event: PaymentEvent, row: PaymentRow | None, until: datetime
    ) -> Iterator[Difference]:
        if row is None:
            yield from self._orphan(intent, event)
        elif standing(row.entity, event, row.table) is not Standing.OWN:
            yield from self._second(intent, event, row)
        else:
            yield from self._own(intent, event, row, until)

    # --- intents without a row -----------------------------------------------------------------------------

    def _orphan(self, intent: StripeObject, event: PaymentEvent) -> Iterator[Difference]:
        if event.row_id is None or is_canceled(intent):
            return
        todo = "nobody must pay it" if is_open(intent) else "give back what was paid, or restore the row"
        yield Difference(
            kind=Kind.ORPHANED_INTENT,
            table=event.row_table,
            row_id=event.row_id,
            intent_id=event.intent_id,
            detail=f"it is {intent['status']}, and its row does not exist: {todo}",
            remedy=self._cancellation(intent, event, "abandoned"),
        )

    def _second(self, intent: StripeObject, event: PaymentEvent, row: PaymentRow) -> Iterator[Difference]:
        if is_canceled(intent):
            return
        columns = row.table.columns
        own = row.entity.get(columns.intent_id) or row.entity.get(columns.checkout_session_id or "") or "another"
        todo = "nobody must pay it too" if is_open(intent) else "refund the one that should not have been paid"
        yield _about(
            row,
            event,
            Kind.SECOND_INTENT,
            f"it is {intent['status']}, and its row stands for {own}: {todo}",
            self._cancellation(intent, event, "duplicate"),
        )

    def _cancellation(
        self, intent: StripeObject, event: PaymentEvent, reason: CancellationReason
    ) -> CancelIntent | None:
        return CancelIntent(intent["id"], reason) if self._may_change(intent, event) else None

    def _may_change(self, intent: StripeObject, event: PaymentEvent) -> bool:
        """Whether we may change it at Stripe: it is open, and its metadata names our organization."""
        ours = self._configuration.organization_id
        return is_open(intent) and ours is not None and event.organization_id == ours.lower()

    # --- a row's own intent --------------------------------------------------------------------------------

    def _own(self, intent: StripeObject, event: PaymentEvent, row: PaymentRow, until: datetime) -> Iterator[Difference]:
        try:
            yield from self._compare_outcome(intent, event, row, until)
            yield from self._compare_demand(intent, event, row)
        except AmountError as error:
            yield _about(row, event, Kind.AMOUNT, str(error))

    def _compare_outcome(
        self, intent: StripeObject, event: PaymentEvent, row: PaymentRow, until: datetime
    ) -> Iterator[Difference]:
        """Status, received and refunded: what the row should show of the intent."""
        shown, columns = status_shown(row.entity, row.table), row.table.columns
        agrees = shown in AGREEING[event.event_type]
        events = [] if agrees and _money(row, columns.amount_received) == _received(intent) else [event]
        events += self._money_back(intent, row, until)
        changed = _fold(row, events)
        wrong = [name for name in (columns.status, columns.amount_received, columns.amount_refunded) if name in changed]
        if wrong:
            kind = Kind.STATUS if columns.status in wrong else Kind.AMOUNT
            yield _about(row, event, kind, _describe(row, intent, wrong, changed), ApplyEvents(tuple(events)))
        elif not agrees and _can_show(row, event):
            detail = f"it is {intent['status']}, and the row says {shown}, which no event undoes: correct the row"
            yield _about(row, event, Kind.STATUS, detail)

    def _money_back(self, intent: StripeObject, row: PaymentRow, until: datetime) -> list[PaymentEvent]:
        """Refunds, if their sum differs, and disputes, as events. Both are rare enough to be read per intent."""
        charge, tables, now = charge_of(intent), self._configuration.tables, self._clock.now()
        if charge is None or not charge.get("captured"):
            return []
        events, about = [], {"payment_intent": intent["id"], "limit": 100}
        if _returned(charge, intent) != _money(row, row.table.columns.amount_refunded):
            refunds = _listed_until(until, self._stripe.refunds, about)
            events += [refund_event(refund, intent, tables, now) for refund in refunds]
            # What was held and never captured is among the refunds; the charge says how much that is.
            events += [charge_event(charge, intent, tables, now)] if refunds else []
        if charge.get("disputed"):
            disputes = _listed_until(until, self._stripe.disputes, about)
            events += [dispute_event(dispute, intent, tables, now) for dispute in disputes]
        return events

    def _compare_demand(self, intent: StripeObject, event: PaymentEvent, row: PaymentRow) -> Iterator[Difference]:
        """Amount and currency: what the intent should ask for."""
        wanted = None if is_canceled(intent) else self._wanted(row)
        if wanted is None or wanted == (intent["amount"], intent["currency"]):
            return
        amount, code = wanted
        asks = f"it asks for {_written(intent['amount'], intent['currency'])}, the row for {_written(amount, code)}"
        if self._may_change(intent, event):
            yield _about(row, event, Kind.AMOUNT, asks, ChangeIntent(intent["id"], amount, code))
        else:
            yield _about(row, event, Kind.AMOUNT, f"{asks}: it is {intent['status']}, so correct the row, or refund")

    def _wanted(self, row: PaymentRow) -> tuple[int, str] | None:
        """The row's amount in minor units, and its currency; None when the row lacks either."""
        amount, currency = row.entity.get(row.table.amount or ""), row.entity.get(row.table.currency)
        if not isinstance(amount, Money) or not isinstance(currency, EntityReference):
            return None
        code = self._codes().get(currency.id)
        return (to_minor_units(amount.value, code, rounding=Rounding.HALF_UP), code) if code else None

    def _codes(self) -> Mapping[str, str]:
        """The lower-case ISO code of each currency, by the currency's id."""
        if self._currencies is None:
            query = QueryExpression("transactioncurrency", ("isocurrencycode",))
            currencies = self._client.retrieve_multiple(query)
            self._currencies = {str(each.id): str(each["isocurrencycode"]).lower() for each in currencies}
        return self._currencies


def _listed_until(until: datetime, service: Any, about: Mapping[str, Any]) -> list[StripeObject]:
    """The refunds or disputes of a payment; none while events of one made after ``until`` may be under way."""
    found = [each.to_dict() for each in service.list(about).auto_paging_iter()]
    return [] if any(each["created"] > until.timestamp() for each in found) else found


def _about(row: PaymentRow, event: PaymentEvent, kind: Kind, detail: str, remedy: Remedy | None = None) -> Difference:
    return Difference(
        kind=kind,
        table=row.table.logical_name,
        row_id=row.entity.id,
        intent_id=event.intent_id,
        detail=detail,
        remedy=remedy,
    )


def _fold(row: PaymentRow, events: Sequence[PaymentEvent]) -> dict[str, Any]:
    """The columns that the events together would change."""
    entity: Entity = row.entity.copy()
    changed: dict[str, Any] = {}
    for event in events:
        added = changes(entity, event, row.table) or {}
        entity.update(added)
        changed |= added
    return changed


def _can_show(row: PaymentRow, event: PaymentEvent) -> bool:
    return bool(AGREEING[event.event_type] & row.table.statuses.keys())


def _money(row: PaymentRow, column: str | None) -> Decimal:
    value = row.entity.get(column) if column else None
    return value.value if isinstance(value, Money) else Decimal(0)


def _received(intent: StripeObject) -> Decimal:
    return from_minor_units(intent.get("amount_received") or 0, intent["currency"])


def _returned(charge: StripeObject, intent: StripeObject) -> Decimal:
    """The amount refunded of what was captured. Stripe counts the amount never captured among the refunds."""
    never_captured = charge["amount"] - charge.get("amount_captured", charge["amount"])
    return from_minor_units(max(0, charge.get("amount_refunded", 0) - never_captured), intent["currency"])


def _describe(row: PaymentRow, intent: StripeObject, columns: Sequence[str], changed: Mapping[str, Any]) -> str:
    after = _after(row, changed)
    if row.table.columns.status in columns:
        before, status = status_shown(row.entity, row.table), status_shown(after.entity, row.table)
        return f"it is {intent['status']}: the row says {before}, and should say {status}"
    sums = [f"{column} is {_money(row, column)}, and should be {_money(after, column)}" for column in columns]
    return "; ".join(sums)


def _after(row: PaymentRow, changed: Mapping[str, Any]) -> PaymentRow:
    entity = row.entity.copy()
    entity.update(changed)
    return PaymentRow(row.table, entity)


def _written(units: int, currency: str) -> str:
    return f"{from_minor_units(units, currency)} {currency.upper()}"
