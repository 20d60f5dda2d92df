"""The one rule of collecting: read what the row says and what Stripe has, and make Stripe match.

It depends on no history, so a late, repeated or re-ordered notification ends where the first one did.
"""

from __future__ import annotations

from typing import Any

import stripe

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
    TO_BE_COLLECTED,
    PaymentStatus,
    PaymentTable,
    status_of,
)
from plugins.stripe_errors import code_of, in_a_clerks_words
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
        payments = StripePayments(context, row, settings)
        found = payments.find()
        if adjust_only and (found is None or not found.is_open):
            return {}
        if found is None and status_of(row) not in TO_BE_COLLECTED:
            return {}
        demand = demand_for(context, table, row, settings)
        if found is None or found.is_closed:
            return _started(row, payments.create(demand, replacing=found)) if demand else {}
        if demand and found.meets(demand):
            return {}
        if not found.is_open:
            raise InvalidPluginExecutionException(
                f"This {table.noun} {_STATES.get(found.status, found.status)}, so its amount and currency can no "
                "longer change. Refund it, or create another payment for the difference."
            )
        return _converge(payments, row, settings, demand, found)


def cancel_intent(context: PluginContext, table: PaymentTable, row: Entity) -> None:
    """See that nobody can pay for ``row`` any more. A row Stripe has nothing for needs nothing.

    Raises:
      InvalidPluginExecutionException: it is paid, or about to be.
    """
    if not (row.get(INTENT) or row.get(SESSION)):
        return
    with in_a_clerks_words(context):
        payments = StripePayments(context, row, CollectionSettings())
        found = _known(context, payments)
        if found is None or found.is_closed:
            return
        if not (found.is_open or found.is_held):
            raise InvalidPluginExecutionException(
                f"This {table.noun} {_STATES.get(found.status, found.status)}, so it can be neither canceled nor "
                "deleted. Refund it instead, or wait until it has failed."
            )
        payments.close(found)


def _known(context: PluginContext, payments: StripePayments) -> StripePayment | None:
    """What this key's account does not know, nobody can pay through it: that must not keep a row from going."""
    try:
        return payments.find()
    except stripe.InvalidRequestError as error:
        if code_of(error) != "resource_missing":
            raise
        context.trace("Stripe knows nothing of this row, so there is nothing to cancel; request {}", error.request_id)
        return None


def _converge(
    payments: StripePayments, row: Entity, settings: CollectionSettings, demand: Demand | None, found: StripePayment
) -> Columns:
    """Make what is open ask for what is demanded. What a Checkout Session asks for cannot be changed."""
    if demand and found.kind is settings.collect is Collect.INTENT:
        payments.change(found, demand)
        return {}
    payments.close(found)
    return _started(row, payments.create(demand, replacing=found)) if demand else {}


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
