"""A Sales Order for a checkout that was paid and names no row: a payment link, or a shop page of somebody's own."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from azure_bridge.correlation import SALES_ORDER_ID
from azure_bridge.crm_rows import CrmClient
from azure_bridge.payment_event import PaymentEvent
from azure_bridge.payment_facts import status_told
from azure_bridge.payment_status import changes
from azure_bridge.tables import BridgeConfiguration, PaymentStatus, PaymentTable
from dataverse_client.types import Entity, EntityReference, QueryExpression

_CURRENCY = "transactioncurrency"


class CurrencyMissingError(LookupError):
    """CRM has no active currency with this code: add it, then resubmit."""


class SalesOrders:
    """Writes the orders ``configuration.create_sales_orders`` asks for."""

    def __init__(self, client: CrmClient, configuration: BridgeConfiguration) -> None:
        self._client = client
        tables = (table for table in configuration.tables if table.metadata_key == SALES_ORDER_ID)
        self._table = next(tables, None) if configuration.create_sales_orders else None
        self._currencies: dict[str, EntityReference] = {}

    def table_for(self, event: PaymentEvent) -> PaymentTable | None:
        """Where an order is due for an event that no row was found for; None when none is."""
        names_a_row = event.row_id or event.sales_order_id
        is_paid_checkout = event.checkout_session_id and status_told(event) is PaymentStatus.COMPLETED
        return self._table if is_paid_checkout and event.intent_id and not names_a_row else None

    def order(self, event: PaymentEvent, table: PaymentTable) -> tuple[Entity, dict[str, Any]]:
        """The order to create, and the part of it the status machine wrote.

        Its id is made from the intent's, so that the same checkout told twice, or to two workers, is one order:
        the second creation is refused as a duplicate.

        Raises:
          CurrencyMissingError: CRM does not know the currency that was paid.
          UnsupportedCurrencyError: its amounts cannot be converted.
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
