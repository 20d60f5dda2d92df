"""The plug-ins that create, change and cancel the Stripe PaymentIntent of a Payment or Sales Order.

All three run at PreOperation: the columns they set are written together with the row, and what they created or changed
at Stripe is undone if the transaction fails. Update and Delete steps need a pre-image named ``before``.
"""

from __future__ import annotations

from dataverse_client.types import Entity
from plugins.configuration import read_settings
from plugins.intent import abandon_intent, cancel_intent, ensure_intent
from plugins.payment_tables import (
    CURRENCY,
    LEDGER,
    OWN_STATUS,
    STATE,
    TO_BE_COLLECTED,
    PaymentStatus,
    PaymentTable,
    amount_of,
    has_intent,
    status_of,
    table_of,
)
from plugins.rows import row_as_it_will_be
from runner.plugin import Configuration, Plugin, PluginContext

__all__ = ["CancelPaymentIntent", "CreatePaymentIntent", "UpdatePaymentIntent"]


class CreatePaymentIntent(Plugin):
    """On Create: creates the intent or Checkout Session, and sets its id and the status Pending on the row."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        """Raises ConfigurationError, TemplateConfigurationError."""
        super().__init__(configuration)
        self._settings = read_settings(configuration or {})

    def execute(self, context: PluginContext) -> None:
        table, row = table_of(context.primary_entity_name), row_as_it_will_be(context)
        if row is None or not _waits_for_money(row) or table.is_closed(row):
            return
        context.target.update(ensure_intent(context, table, row, self._settings))


class UpdatePaymentIntent(Plugin):
    """On Update: changes the intent when amount or currency change.

    Cancels it when the status becomes Canceled, or the row is deactivated unpaid.
    """

    def __init__(self, configuration: Configuration | None = None) -> None:
        """Raises ConfigurationError, TemplateConfigurationError."""
        super().__init__(configuration)
        self._settings = read_settings(configuration or {})

    def execute(self, context: PluginContext) -> None:
        table, row = table_of(context.primary_entity_name), row_as_it_will_be(context)
        if row is None or LEDGER in context.target:
            return
        if is_canceled_by(context.target):
            cancel_intent(context, table, row)
            return
        concerns_stripe = _concerns_stripe(context, table, row)
        if table.is_closed(row) and (concerns_stripe or STATE in context.target):
            context.target.update(abandon_intent(context, table, row))
        if concerns_stripe:
            context.target.update(ensure_intent(context, table, row, self._settings))


class CancelPaymentIntent(Plugin):
    """On Delete, or an Update to Canceled: cancels the intent, so that nobody can pay for the row any more."""

    def execute(self, context: PluginContext) -> None:
        table = table_of(context.primary_entity_name)
        if context.message_name == "Delete":
            cancel_intent(context, table, context.pre_image("before"))
        elif LEDGER not in context.target and is_canceled_by(context.target):
            row = row_as_it_will_be(context)
            if row is not None:
                cancel_intent(context, table, row)


def is_canceled_by(target: Entity) -> bool:
    """Whether the request sets the payment status to Canceled."""
    return status_of(target) is PaymentStatus.CANCELED


def _waits_for_money(row: Entity) -> bool:
    """False for a row that was paid elsewhere, and for an order that the bridge made of a paid checkout."""
    return {status_of(row), status_of(row, OWN_STATUS)} <= TO_BE_COLLECTED


def _concerns_stripe(context: PluginContext, table: PaymentTable, row: Entity) -> bool:
    """Whether the request changes the amount or the currency that Stripe collects."""
    if table.amount not in context.target and CURRENCY not in context.target:
        return False
    if not has_intent(row):
        return status_of(row) in TO_BE_COLLECTED and not table.is_closed(row)
    if not context.is_in_transaction:
        return True
    before = context.pre_image("before")
    return (amount_of(row, table), row.get(CURRENCY)) != (amount_of(before, table), before.get(CURRENCY))
