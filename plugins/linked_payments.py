"""The Payments that are linked to a Sales Order and collect its amount, or part of it."""

from __future__ import annotations

from decimal import Decimal

from dataverse_client.types import Entity, QueryExpression
from plugins.payment_tables import (
    CURRENCY,
    INTENT,
    PAYMENT,
    RECEIVED,
    REFUNDED,
    SALES_ORDER_LOOKUP,
    SESSION,
    STATE,
    STATUS,
    TO_BE_COLLECTED,
    PaymentStatus,
    amount_of,
    has_intent,
    status_of,
)
from runner.plugin import PluginContext


def payments_of(context: PluginContext, order: Entity) -> list[Entity]:
    """The Payments linked to ``order``, with the columns that its totals are computed from."""
    columns = (PAYMENT.amount, CURRENCY, STATUS, STATE, INTENT, SESSION, RECEIVED, REFUNDED)
    query = QueryExpression.of(PAYMENT.logical_name, *columns, where={SALES_ORDER_LOOKUP: order.id})
    return list(context.organization.retrieve_multiple(query))


def collects(payment: Entity) -> bool:
    """Whether a Payment collects its amount, now or already. A failed one can still be paid.

    A canceled one does not, nor one that was put away before it had an intent.
    """
    status = status_of(payment)
    was_put_away = PAYMENT.is_closed(payment) and status in TO_BE_COLLECTED and not has_intent(payment)
    return status is not PaymentStatus.CANCELED and not was_put_away


def collected_by_payments(context: PluginContext, order: Entity) -> Decimal:
    """The sum that the order's Payments collect, and that the order's own intent must therefore leave out."""
    amounts = (amount_of(payment, PAYMENT) for payment in payments_of(context, order) if collects(payment))
    return sum((amount for amount in amounts if amount is not None), Decimal(0))
