"""The tables Stripe collects money for, and their columns: the only module here that knows CRM's names.

To collect for a table of your own, give it the payment columns and add it to ``TABLES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum

from dataverse_client.types import Entity, Money, OptionSetValue
from runner.plugin import InvalidPluginExecutionException

STATUS = "new_paymentstatus"
INTENT = "new_stripepaymentintentid"
SESSION = "new_stripecheckoutsessionid"
CHECKOUT_URL = "new_checkouturl"
FAILURE_CODE = "new_failurecode"
FAILURE_MESSAGE = "new_failuremessage"
RECEIVED = "new_amountreceived"
REFUNDED = "new_amountrefunded"
RECEIPT_EMAIL = "new_receiptemail"
CURRENCY = "transactioncurrencyid"
SALES_ORDER_LOOKUP = "new_salesorderid"
STATE = "statecode"
#: On an order: the result of the order's own intent, written by the bridge. The columns above include its Payments.
OWN_STATUS = "new_ownpaymentstatus"
OWN_RECEIVED = "new_ownamountreceived"
OWN_REFUNDED = "new_ownamountrefunded"
#: The bridge writes this column with every change; the plug-ins do when a row turns to another intent.
LEDGER = "new_stripeledger"


class PaymentStatus(IntEnum):
    """The numbers of the Payment status choice, as ``registrations.yaml`` gives them to the bridge too."""

    DRAFT = 100_000_000
    PENDING = 100_000_001
    REQUIRES_ACTION = 100_000_002
    PROCESSING = 100_000_003
    AUTHORIZED = 100_000_004
    COMPLETED = 100_000_005
    FAILED = 100_000_006
    CANCELED = 100_000_007
    REFUNDED = 100_000_008
    PARTIALLY_REFUNDED = 100_000_009
    DISPUTED = 100_000_010


#: A row with any other status and no intent was paid outside Stripe, or canceled before anything was created.
TO_BE_COLLECTED = frozenset({None, PaymentStatus.DRAFT, PaymentStatus.PENDING})


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTable:
    """One table. ``noun`` is the word for a row in messages to users.

    ``metadata_key`` is the key under which an intent's metadata holds the row's id. ``closed_state`` is the
    ``statecode`` of a row for which nothing is collected any more.
    """

    logical_name: str
    noun: str
    amount: str
    metadata_key: str
    closed_state: int

    @property
    def primary_id(self) -> str:
        return f"{self.logical_name}id"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns the plug-ins read to collect for a row."""
        return (self.amount, CURRENCY, STATUS, INTENT, SESSION, CHECKOUT_URL, FAILURE_CODE, FAILURE_MESSAGE, LEDGER)

    def is_closed(self, row: Entity) -> bool:
        """Whether the row was deactivated, or for an order canceled."""
        return bool(row.get(STATE) == OptionSetValue(self.closed_state))


PAYMENT = PaymentTable(
    logical_name="new_payment", noun="payment", amount="new_amount", metadata_key="CRM_PaymentId", closed_state=1
)
SALES_ORDER = PaymentTable(
    logical_name="salesorder", noun="order", amount="totalamount", metadata_key="CRM_SalesOrderId", closed_state=2
)
TABLES: Mapping[str, PaymentTable] = {table.logical_name: table for table in (PAYMENT, SALES_ORDER)}


def table_of(logical_name: str) -> PaymentTable:
    """The table with this logical name.

    Raises:
      InvalidPluginExecutionException: it is not in ``TABLES``; a step is registered for the wrong table.
    """
    try:
        return TABLES[logical_name]
    except KeyError:
        raise InvalidPluginExecutionException(
            f"Stripe collects nothing for table {logical_name!r}: register this step for {' or '.join(TABLES)}, "
            "or add the table to TABLES in plugins/payment_tables.py."
        ) from None


def has_intent(row: Entity) -> bool:
    """Whether the row names an intent or a Checkout Session."""
    return bool(row.get(INTENT) or row.get(SESSION))


def amount_of(row: Entity, table: PaymentTable) -> Decimal | None:
    """The amount to collect for ``row``, in the row's currency."""
    return money(row, table.amount)


def money(row: Entity, column: str) -> Decimal | None:
    """The amount in a money column; None when the column is empty or absent."""
    value = row.get(column)
    return value.value if isinstance(value, Money) else value


def status_of(row: Entity, column: str = STATUS) -> PaymentStatus | None:
    """The row's payment status; None when it is empty, or an option that the plug-ins do not know."""
    value = row.get(column)
    known = isinstance(value, OptionSetValue) and value.value in _NUMBERS
    return PaymentStatus(value.value) if known else None


_NUMBERS = frozenset(status.value for status in PaymentStatus)
