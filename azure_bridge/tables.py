"""Which CRM tables the bridge keeps, and under which column names: what ``registrations.yaml`` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from enum import StrEnum


class PaymentStatus(StrEnum):
    """The Payment status choice. Each table maps these to the numbers of its own column."""

    DRAFT = "Draft"
    PENDING = "Pending"
    REQUIRES_ACTION = "Requires action"
    PROCESSING = "Processing"
    AUTHORIZED = "Authorized"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"
    REFUNDED = "Refunded"
    PARTIALLY_REFUNDED = "Partially refunded"
    DISPUTED = "Disputed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentColumns:
    """Logical names of the columns the bridge reads and writes; None leaves a fact unwritten."""

    status: str = "new_paymentstatus"
    intent_id: str = "new_stripepaymentintentid"
    checkout_session_id: str | None = "new_stripecheckoutsessionid"
    amount_received: str | None = "new_amountreceived"
    amount_refunded: str | None = "new_amountrefunded"
    failure_code: str | None = "new_failurecode"
    failure_message: str | None = "new_failuremessage"
    paid_on: str | None = "new_paidon"
    last_event: str | None = "new_lastevent"
    #: JSON the status machine keeps for itself, so that order and repetition of events never matter.
    ledger: str = "new_stripeledger"

    def names(self) -> tuple[str, ...]:
        """The columns there are, in the order of the fields."""
        return tuple(name for name in astuple(self) if name is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTable:
    """One table the bridge updates.

    ``metadata_key`` is the key of the intent's metadata that carries the row's id. A status ``statuses`` does not
    map is one this table cannot show: the column then keeps what it has. ``amount`` and ``currency`` are the columns
    that say what an intent is to collect; the bridge compares them and never writes them. Without an ``amount``
    what a row's intent asks for is not compared.
    """

    logical_name: str
    primary_id: str
    metadata_key: str
    columns: PaymentColumns = field(default_factory=PaymentColumns)
    statuses: Mapping[PaymentStatus, int] = field(
        default_factory=lambda: {status: 100_000_000 + number for number, status in enumerate(PaymentStatus)}
    )
    amount: str | None = None
    currency: str = "transactioncurrencyid"

    def compared_columns(self) -> tuple[str, ...]:
        """What has to be known of a row to compare it with Stripe."""
        return (*self.columns.names(), *((self.amount, self.currency) if self.amount else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeConfiguration:
    """What the bridge listens to and where it writes.

    ``organization_id`` None accepts events of every organization. ``create_sales_orders`` makes a Sales Order
    for a paid checkout that names no row.
    """

    tables: tuple[PaymentTable, ...]
    events: frozenset[str]
    organization_id: str | None = None
    livemode: bool = False
    create_sales_orders: bool = False

    def table(self, logical_name: str | None) -> PaymentTable | None:
        return next((table for table in self.tables if table.logical_name == logical_name), None)

    def is_foreign(self, organization_id: str | None) -> bool:
        """Whether what carries this organization's id is not ours: several environments may share a Stripe account."""
        ours = self.organization_id
        return ours is not None and organization_id not in (None, ours.lower())
