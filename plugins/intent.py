"""The one rule of collecting: read what the row says and what Stripe has, and make Stripe match.

It depends on no history, so a late, repeated or re-ordered notification ends where the first one did.
"""

from __future__ import annotations

from typing import Any

from dataverse_client.types import Entity, OptionSetValue
from plugins.configuration import Collect, CollectionSettings
from plugins.demand import Demand, demand_for
from plugins.payment_tables import (
    CHECKOUT_URL,
    FAILURE_CODE,
    FAILURE_MESSAGE,
    INTENT,
    SESSION,
    STATUS,
    PaymentStatus,
    PaymentTable,
)
from plugins.stripe_errors import in_a_clerks_words
from plugins.stripe_payment import StripePayment, StripePayments
from runner.plugin import InvalidPluginExecutionException, PluginContext

Columns = dict[str, Any]

_STATES = {
    "succeeded": "has been paid",
    "processing": "is being processed by the customer's bank",
    "requires_capture": "is authorized on the customer's card",
}


def ensure_intent(
    context: PluginContext, table: PaymentTable, row: Entity, settings: CollectionSettings, *, adjust_only: bool = False
) -> Columns:
    """Make Stripe collect what ``row`` demands. Returns the columns of the row that have to change.

    ``adjust_only`` changes or closes what is open and starts nothing new.

    Raises:
      InvalidPluginExecutionException: the amount cannot be charged, or is no longer open to change, or Stripe
        refused; the message is meant for a clerk.
    """
    with in_a_clerks_words(context):
        stripe = StripePayments(context, row.id or context.primary_entity_id, settings)
        found = stripe.find(row)
        if adjust_only and (found is None or not found.is_open):
            return {}
        demand = demand_for(context, table, row, settings)
        if demand is None:
            return _stop_collecting(stripe, found)
        return _collect(stripe, table, row, settings, demand, found)


def cancel_intent(context: PluginContext, table: PaymentTable, row: Entity) -> None:
    """See that nobody can pay for ``row`` any more. A row Stripe has nothing for needs nothing.

    Raises:
      InvalidPluginExecutionException: it is paid, or about to be.
    """
    if not (row.get(INTENT) or row.get(SESSION)):
        return
    with in_a_clerks_words(context):
        stripe = StripePayments(context, row.id or context.primary_entity_id, CollectionSettings())
        found = stripe.find(row)
        if found is None or found.is_closed:
            return
        if not (found.is_open or found.is_held):
            raise InvalidPluginExecutionException(
                f"This {table.noun} {_STATES.get(found.status, found.status)}, so it can be neither canceled nor "
                "deleted. Refund it instead, or wait until it has failed."
            )
        stripe.close(found)


def _stop_collecting(stripe: StripePayments, found: StripePayment | None) -> Columns:
    if found and found.is_open:
        stripe.close(found)
    return {}


def _collect(
    stripe: StripePayments,
    table: PaymentTable,
    row: Entity,
    settings: CollectionSettings,
    demand: Demand,
    found: StripePayment | None,
) -> Columns:
    if found is None or found.is_closed:
        return _started(row, stripe.create(demand, replacing=found))
    if found.meets(demand):
        return {}
    if not found.is_open:
        raise InvalidPluginExecutionException(
            f"This {table.noun} {_STATES.get(found.status, found.status)}, so its amount and currency can no longer "
            "change. Refund it, or create another payment for the difference."
        )
    if found.kind is settings.collect is Collect.INTENT:
        stripe.change(found, demand)
        return {}
    # Nobody can change what a Checkout Session asks for.
    stripe.close(found)
    return _started(row, stripe.create(demand, replacing=found))


def _started(row: Entity, made: StripePayment) -> Columns:
    is_session = made.kind is Collect.CHECKOUT
    columns = {
        INTENT: None if is_session else made.id,
        SESSION: made.id if is_session else None,
        CHECKOUT_URL: made.url,
        STATUS: OptionSetValue(PaymentStatus.PENDING),
        FAILURE_CODE: None,
        FAILURE_MESSAGE: None,
    }
    return {column: value for column, value in columns.items() if row.get(column) != value}
