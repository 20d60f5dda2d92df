"""Makes Stripe match a row: reads the row and what Stripe has for it, and changes whatever differs.

Only the present state counts, so notifications that arrive late, twice or out of order lead to the same result.
"""

from __future__ import annotations

from typing import Any

import stripe

from azure_bridge.ledger import turned
from dataverse_client.types import Entity, OptionSetValue
from plugins.configuration import Collect, CollectionSettings
from plugins.demand import Demand, demand_for
from plugins.payment_tables import (
    CHECKOUT_URL,
    FAILURE_CODE,
    FAILURE_MESSAGE,
    INTENT,
    LEDGER,
    OWN_STATUS,
    PAYMENT,
    SALES_ORDER,
    SESSION,
    STATUS,
    TO_BE_COLLECTED,
    PaymentStatus,
    PaymentTable,
    status_of,
)
from plugins.stripe_errors import code_of, stripe_errors_as_refusals
from plugins.stripe_payment import StripePayment, StripePayments
from runner.plugin import InvalidPluginExecutionException, PluginContext

Columns = dict[str, Any]

#: Since the row was read, the bridge may have written on it what became of a former intent or session. A row that turns
#: to another gets these columns even if they seem to be right.
_TOLD_OF_FORMER = frozenset({INTENT, STATUS, OWN_STATUS})

_STATES = {
    "succeeded": "has been paid",
    "processing": "is being processed by the customer's bank",
    "requires_capture": "is authorized on the customer's card",
}


def ensure_intent(
    context: PluginContext, table: PaymentTable, row: Entity, settings: CollectionSettings, *, adjust_only: bool = False
) -> Columns:
    """Make Stripe collect the amount of ``row``. Returns the columns of the row that have to change.

    With ``adjust_only`` an open intent or session is changed or closed, and no new one is created. Nor is one for a row
    that was deactivated.

    Raises:
      InvalidPluginExecutionException: the amount cannot be charged, or can no longer be changed, or Stripe refused
        the request. The message is written for the user who saves the row.
    """
    with stripe_errors_as_refusals(context):
        payments = StripePayments(context, row, settings)
        found = payments.find()
        if adjust_only and (found is None or not found.is_open):
            return {}
        if found is None and status_of(row) not in TO_BE_COLLECTED:
            return {}
        if table.is_closed(row) and (found is None or found.is_closed):
            return {}
        demand = demand_for(context, table, row, settings)
        if found is None or found.is_closed:
            return _started(payments, row, demand, found) if demand else {}
        if demand and found.meets(demand):
            return {}
        if not found.is_open:
            raise InvalidPluginExecutionException(
                f"This {table.noun} {_STATES.get(found.status, found.status)}, so its amount and currency can no "
                "longer change. Refund it, or create another payment for the difference."
            )
        return _converge(payments, row, settings, demand, found)


def cancel_intent(context: PluginContext, table: PaymentTable, row: Entity) -> None:
    """Make sure that nobody can pay for ``row`` any more. Does nothing when the row has no intent or session.

    Raises:
      InvalidPluginExecutionException: it is paid, or its payment is being processed.
    """
    with stripe_errors_as_refusals(context):
        payments = StripePayments(context, row, CollectionSettings())
        found = _find_if_known(context, payments)
        if found is None or found.is_closed:
            return
        if not found.can_be_closed:
            raise InvalidPluginExecutionException(
                f"This {table.noun} {_STATES.get(found.status, found.status)}, so it can be neither canceled nor "
                "deleted. Refund it instead, or wait until it has failed."
            )
        payments.close(found)


def abandon_intent(context: PluginContext, table: PaymentTable, row: Entity) -> Columns:
    """Make sure that nobody can pay for a ``row`` that was deactivated unpaid; one that was paid is left as it is.

    Returns the columns of the row that have to change.

    Raises:
      InvalidPluginExecutionException: Stripe refused the request.
    """
    with stripe_errors_as_refusals(context):
        payments = StripePayments(context, row, CollectionSettings())
        found = _find_if_known(context, payments)
        if found is None or not found.can_be_closed:
            return {}
        payments.close(found)
    # An order's status is computed from its parts, once the bridge has told what became of its own intent.
    return {STATUS: OptionSetValue(PaymentStatus.CANCELED)} if table is PAYMENT else {}


def _find_if_known(context: PluginContext, payments: StripePayments) -> StripePayment | None:
    """None also for an id that this Stripe account does not know: it must not keep the row from being deleted."""
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
    """Bring what is open in line with ``demand``. An intent is changed; a Checkout Session has to be replaced."""
    if demand and found.kind is settings.collect is Collect.INTENT:
        payments.change(found, demand)
        return {}
    closed = payments.close(found)
    return _started(payments, row, demand, closed) if demand else {}


def _started(payments: StripePayments, row: Entity, demand: Demand, former: StripePayment | None) -> Columns:
    """Create what is to collect ``demand``. Returns the columns by which the row turns to it from ``former``."""
    made = payments.create(demand, replacing=former)
    is_session = made.kind is Collect.CHECKOUT
    columns: Columns = {
        INTENT: None if is_session else made.id,
        SESSION: made.id if is_session else None,
        CHECKOUT_URL: made.url,
        STATUS: OptionSetValue(PaymentStatus.PENDING),
        FAILURE_CODE: None,
        FAILURE_MESSAGE: None,
    }
    if row.logical_name == SALES_ORDER.logical_name:
        # What an order's former intent came to.
        columns[OWN_STATUS] = None
    if former and former.intent_id:
        columns[LEDGER] = turned(row.get(LEDGER), former.intent_id)
    always = _TOLD_OF_FORMER if former else frozenset()
    return {column: value for column, value in columns.items() if column in always or row.get(column) != value}
