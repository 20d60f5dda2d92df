"""Creates a Sales Order for a paid checkout that names no row, such as that of a payment link."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from azure_bridge.correlation import SALES_ORDER_ID
from azure_bridge.crm_rows import CrmClient
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.payment_facts import reported_status
from azure_bridge.payment_status import changes
from azure_bridge.tables import BridgeConfiguration, PaymentStatus, PaymentTable
from dataverse_client.types import Entity, EntityReference, QueryExpression

_CURRENCY = "transactioncurrency"


class CurrencyMissingError(LookupError):
    """CRM has no active currency with this code: add it, then resubmit the event."""


class SalesOrders:
    """Makes the orders to create, if ``configuration.create_sales_orders`` allows it."""

    def __init__(self, client: CrmClient, configuration: BridgeConfiguration) -> None:
        self._client = client
        tables = (table for table in configuration.tables if table.metadata_key == SALES_ORDER_ID)
        self._table = next(tables, None) if configuration.create_sales_orders else None
        self._currencies: dict[str, EntityReference] = {}

    def table_for(self, event: PaymentEvent) -> PaymentTable | None:
        """The table to create an order in for an event without a row; None when no order is due."""
        names_a_row = event.row_id or event.sales_order_id
        is_paid_checkout = event.checkout_session_id and reported_status(event) is PaymentStatus.COMPLETED
        return self._table if is_paid_checkout and event.intent_id and not names_a_row else None

    def order(self, event: PaymentEvent, table: PaymentTable) -> tuple[Entity, dict[str, Any]]:
        """The order to create, and those of its columns that the status machine computed.

        Its id is derived from the intent's. If an event is processed twice, or by two workers, the second creation is
        therefore refused as a duplicate.

        Raises:
          CurrencyMissingError: CRM does not have the currency that was paid.
          UnsupportedCurrencyError: amounts in its currency cannot be converted.
          DataverseError: the currencies cannot be read.
        """
        order = Entity(table.logical_name, str(uuid5(NAMESPACE_URL, f"https://api.stripe.com/{event.intent_id}")))
        told = changes(order, event, table) or {}
        order.update(told)
        order["name"] = f"Stripe checkout {event.intent_id}"
        order["transactioncurrencyid"] = self._currency(event.currency or "")
        return order, told

    def _currency(self, code: str) -> EntityReference:
        code = code.upper()
        if code not in self._currencies:
            query = QueryExpression.of(_CURRENCY, "isocurrencycode", where={"isocurrencycode": code, "statecode": 0})
            found = next(iter(self._client.retrieve_multiple(query)), None)
            if found is None:
                raise CurrencyMissingError(f"CRM has no active currency {code!r}: add it, then resubmit the event")
            self._currencies[code] = found.to_entity_reference()
        return self._currencies[code]
