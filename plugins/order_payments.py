"""Adds up a Sales Order's payment columns: what its own intent collected, and what linked Payments collected.

The bridge writes the result of the order's own intent to separate columns (``new_own...``). The columns people read
(received, refunded, status) are always computed anew from those and from the Payments, so they cannot drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dataverse_client.types import Entity, Money, OptionSetValue
from plugins.configuration import CollectionSettings, read_settings
from plugins.intent import ensure_intent
from plugins.linked_payments import collects, payments_of
from plugins.payment_tables import (
    CURRENCY,
    OWN_RECEIVED,
    OWN_REFUNDED,
    OWN_STATUS,
    PAYMENT,
    RECEIVED,
    REFUNDED,
    SALES_ORDER,
    SALES_ORDER_LOOKUP,
    STATUS,
    PaymentStatus,
    amount_of,
    has_intent,
    money,
    status_of,
)
from plugins.rows import current_row, row_as_it_will_be
from runner.plugin import Configuration, InvalidPluginExecutionException, Plugin, PluginContext

__all__ = ["UpdateOrderPayments"]

_OWN = (OWN_STATUS, OWN_RECEIVED, OWN_REFUNDED)

#: An order that is not yet paid in full shows the most urgent status of its parts: the one last in this list.
_BY_URGENCY = (
    PaymentStatus.CANCELED,
    PaymentStatus.DRAFT,
    PaymentStatus.REFUNDED,
    PaymentStatus.PARTIALLY_REFUNDED,
    PaymentStatus.COMPLETED,
    PaymentStatus.PENDING,
    PaymentStatus.AUTHORIZED,
    PaymentStatus.PROCESSING,
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.FAILED,
    PaymentStatus.DISPUTED,
)


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of an order, its own intent or a linked Payment, has collected."""

    status: PaymentStatus
    received: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)


class UpdateOrderPayments(Plugin):
    """Keeps the payment columns of Sales Orders up to date.

    On a Payment (PostOperation) it updates the order the Payment belongs to, and the one it belonged to before. On a
    Sales Order (PreOperation) it adds up the columns when the bridge writes the result of the order's own intent.

    It takes the same configuration as the plug-ins of the order's own intent, because it adjusts that intent when a
    Payment takes over part of the amount.
    """

    def __init__(self, configuration: Configuration | None = None) -> None:
        """Raises ConfigurationError, TemplateConfigurationError."""
        super().__init__(configuration)
        self._settings = read_settings(configuration or {})

    def execute(self, context: PluginContext) -> None:
        if context.primary_entity_name == SALES_ORDER.logical_name:
            _add_up_target(context)
        else:
            _update_orders(context, self._settings)


def roll_up(total: Decimal | None, parts: Sequence[Part]) -> Part | None:
    """The sums of all ``parts``, and the status they give an order with that ``total``; None without parts.

    >>> roll_up(Decimal(100), [Part(PaymentStatus.COMPLETED, Decimal(40)), Part(PaymentStatus.PENDING)])
    Part(status=<PaymentStatus.PENDING: 100000001>, received=Decimal('40'), refunded=Decimal('0'))
    """
    if not parts:
        return None
    received = sum((part.received for part in parts), Decimal(0))
    refunded = sum((part.refunded for part in parts), Decimal(0))
    return Part(_status(total, received, refunded, parts), received, refunded)


def _status(total: Decimal | None, received: Decimal, refunded: Decimal, parts: Sequence[Part]) -> PaymentStatus:
    most_urgent = max((part.status for part in parts), key=_BY_URGENCY.index)
    if len(parts) == 1 or most_urgent is PaymentStatus.DISPUTED:
        return most_urgent
    if refunded:
        return PaymentStatus.REFUNDED if refunded >= received else PaymentStatus.PARTIALLY_REFUNDED
    if received and received >= (total or 0):
        return PaymentStatus.COMPLETED
    # All parts are paid, but together they do not cover the order.
    return PaymentStatus.PENDING if most_urgent is PaymentStatus.COMPLETED else most_urgent


# --- on a Sales Order --------------------------------------------------------------------------------------


def _add_up_target(context: PluginContext) -> None:
    if not any(column in context.target for column in _OWN):
        return
    order = row_as_it_will_be(context)
    if order is not None:
        context.target.update(_rolled_up(order, payments_of(context, order)))


# --- on a Payment ------------------------------------------------------------------------------------------


def _update_orders(context: PluginContext, settings: CollectionSettings) -> None:
    before = None if context.message_name == "Create" else context.pre_image("before")
    after = None if context.message_name == "Delete" else _merged(before, context.target)
    orders = {order_id for row in (before, after) if row and (order_id := _order_id(row))}
    for order in filter(None, (current_row(context, SALES_ORDER, order_id) for order_id in sorted(orders))):
        _require_one_currency(order, after)
        changes: dict[str, Any] = {}
        if _claim(before, order) != _claim(after, order):
            changes = ensure_intent(context, SALES_ORDER, order, settings, adjust_only=True)
        changes |= _rolled_up(order, payments_of(context, order))
        if changes:
            context.organization.update(Entity(SALES_ORDER.logical_name, order.id, changes))


def _merged(before: Entity | None, target: Entity) -> Entity:
    after = before.copy() if before else Entity(PAYMENT.logical_name)
    after.update(target.attributes)
    return after


def _order_id(payment: Entity) -> str | None:
    link = payment.get(SALES_ORDER_LOOKUP)
    return link.id if link else None


def _claim(payment: Entity | None, order: Entity) -> Decimal | None:
    """What ``payment`` collects of the order's amount; None when it collects nothing."""
    if payment is None or _order_id(payment) != order.id or not collects(payment):
        return None
    return amount_of(payment, PAYMENT)


def _require_one_currency(order: Entity, payment: Entity | None) -> None:
    if payment is None or _order_id(payment) != order.id:
        return
    one, other = order.get(CURRENCY), payment.get(CURRENCY)
    if one and other and one != other:
        raise InvalidPluginExecutionException(
            "This payment is in another currency than its order. Give it the currency of the order, "
            "or take it off the order."
        )


# --- both --------------------------------------------------------------------------------------------------


def _rolled_up(order: Entity, payments: Sequence[Entity]) -> dict[str, Any]:
    """The columns to change on ``order``, which is left as it is."""
    parts = [_part(payment, STATUS, RECEIVED, REFUNDED) for payment in payments]
    if has_intent(order) or status_of(order, OWN_STATUS):
        parts.append(_part(order, *_OWN, default=PaymentStatus.PENDING))
    whole = roll_up(amount_of(order, SALES_ORDER), parts)
    if whole is None:
        # The last Payment was unlinked, and there is no intent of the order's own.
        whole = Part(PaymentStatus.DRAFT)
    columns: dict[str, Money | OptionSetValue] = {
        STATUS: OptionSetValue(whole.status),
        RECEIVED: Money(whole.received),
        REFUNDED: Money(whole.refunded),
    }
    return {column: value for column, value in columns.items() if not _has(order, column, value)}


def _has(order: Entity, column: str, value: Money | OptionSetValue) -> bool:
    """Whether the column has this value already. An empty amount counts as 0, so that 0 is not written over it."""
    return order.get(column) == value or (order.get(column) is None and value == Money(Decimal(0)))


def _part(row: Entity, status: str, received: str, refunded: str, default: PaymentStatus = PaymentStatus.DRAFT) -> Part:
    return Part(
        status_of(row, status) or default, money(row, received) or Decimal(0), money(row, refunded) or Decimal(0)
    )
