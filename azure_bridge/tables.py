"""The bridge's configuration: which CRM tables and columns it updates, as ``registrations.yaml`` says."""

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
    """Logical names of the columns the bridge reads and writes; one that is None is not written."""

    status: str = "new_paymentstatus"
    intent_id: str = "new_stripepaymentintentid"
    checkout_session_id: str | None = "new_stripecheckoutsessionid"
    amount_received: str | None = "new_amountreceived"
    amount_refunded: str | None = "new_amountrefunded"
    failure_code: str | None = "new_failurecode"
    failure_message: str | None = "new_failuremessage"
    paid_on: str | None = "new_paidon"
    last_event: str | None = "new_lastevent"
    #: The status machine's own JSON (:mod:`azure_bridge.ledger`).
    ledger: str = "new_stripeledger"

    def names(self) -> tuple[str, ...]:
        """The names of all columns that are not None, in the order of the fields."""
        return tuple(name for name in astuple(self) if name is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTable:
    """One table the bridge updates.

    ``metadata_key`` is the key under which the intent's metadata holds the row's id. A status that ``statuses`` does
    not map is not written: the column keeps its value. ``amount`` and ``currency`` are the columns that hold what an
    intent is to collect; a reconciliation compares them, and the bridge never writes them. Without an ``amount`` they
    are not compared. ``closed_state`` is the ``statecode`` of a row for which nothing is collected any more.
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
    closed_state: int = 1

    def compared_columns(self) -> tuple[str, ...]:
        """The columns that a reconciliation reads to compare a row with Stripe."""
        return (*self.columns.names(), *((self.amount, self.currency) if self.amount else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeConfiguration:
    """Which events the bridge applies, and to which tables.

    Without an ``organization_id`` the processor applies the events of the organization whose environment it writes to.
    With ``create_sales_orders`` a Sales Order is created for a paid checkout that names no row.
    """

    tables: tuple[PaymentTable, ...]
    events: frozenset[str]
    organization_id: str | None = None
    livemode: bool = False
    create_sales_orders: bool = False

    def table(self, logical_name: str | None) -> PaymentTable | None:
        """The table with this logical name; None when the bridge does not update it."""
        return next((table for table in self.tables if table.logical_name == logical_name), None)

    def is_foreign(self, organization_id: str | None) -> bool:
        """Whether this is another organization's id: several environments may share a Stripe account."""
        ours = self.organization_id
        return ours is not None and organization_id not in (None, ours.lower())


#: Applies no event, for plug-ins alone.
NO_BRIDGE = BridgeConfiguration(tables=(), events=frozenset())
