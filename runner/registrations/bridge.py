"""The ``bridge`` section of ``registrations.yaml``: which Stripe events are applied to which tables and columns."""

from __future__ import annotations

from typing import Annotated

from pydantic import StrictBool, StrictInt, StringConstraints, WithJsonSchema

from azure_bridge.tables import PaymentColumns, PaymentStatus
from runner.registrations.section import LogicalName, Section
from runner.registrations.stripe_events import PAYMENT_EVENT_TYPES

_COLUMNS = PaymentColumns()
_STATUSES = {status: 100_000_000 + number for number, status in enumerate(PaymentStatus)}


class ColumnsRegistration(Section):
    """Logical names of the columns the bridge keeps; null leaves a fact unwritten."""

    status: LogicalName = _COLUMNS.status
    """The Payment status choice."""

    intent_id: LogicalName = _COLUMNS.intent_id
    """Id of the PaymentIntent."""

    checkout_session_id: LogicalName | None = _COLUMNS.checkout_session_id
    """Id of the Checkout Session."""

    amount_received: LogicalName | None = _COLUMNS.amount_received
    """Money that arrived."""

    amount_refunded: LogicalName | None = _COLUMNS.amount_refunded
    """Money that was given back."""

    failure_code: LogicalName | None = _COLUMNS.failure_code
    """Stripe's code of the last failed attempt."""

    failure_message: LogicalName | None = _COLUMNS.failure_message
    """Stripe's words for it."""

    paid_on: LogicalName | None = _COLUMNS.paid_on
    """When the money arrived."""

    last_event: LogicalName | None = _COLUMNS.last_event
    """The Stripe event that was applied last."""

    ledger: LogicalName = _COLUMNS.ledger
    """What the status machine remembers, so that order and repetition of events do not matter."""


class BridgeTable(Section):
    """One table that follows the money."""

    entity: LogicalName
    """The table, by logical name or alias."""

    primary_id: LogicalName | None = None
    """The primary key column; leave out where it is the logical name followed by ``id``."""

    metadata_key: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    """The key of the intent's metadata that carries the row's id."""

    columns: ColumnsRegistration = ColumnsRegistration()
    """Which columns are written."""

    statuses: dict[PaymentStatus, StrictInt] = _STATUSES
    """Payment status -> its number in the table's choice column; one that is left out is never written."""

    amount: LogicalName | None = None
    """The column with the whole amount a row's intent collects, for ``runner reconcile``; leave out where an intent may
    rightly collect less."""

    currency: LogicalName = "transactioncurrencyid"
    """The lookup of the amount's currency."""

    closed_state: StrictInt = 1
    """The ``statecode`` of rows that are to have no intent any more; 1 is Inactive."""


class BridgeRegistration(Section):
    """How Stripe's answers reach the rows."""

    events: tuple[Annotated[str, WithJsonSchema({"enum": list(PAYMENT_EVENT_TYPES)})], ...]
    """The Stripe event types that are applied; others are accepted and ignored."""

    organization_id: str | None = None
    """Apply only events of this organization (a GUID or a reference), where two environments share one Stripe
    account."""

    create_sales_orders: StrictBool = False
    """Make a Sales Order for a paid checkout that names no row."""

    tables: tuple[BridgeTable, ...]
    """The tables that follow the money."""
