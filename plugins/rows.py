"""The rows a step speaks of: as the operation will leave them, or as CRM has them."""

from __future__ import annotations

from dataverse_client.types import Entity, QueryExpression
from plugins.payment_tables import PaymentTable, table_of
from runner.plugin import PluginContext


def row_as_it_will_be(context: PluginContext) -> Entity | None:
    """The row the operation leads to. Away from the transaction the notification may be old: the row itself is read.

    None: it has been deleted meanwhile.
    """
    table = table_of(context.primary_entity_name)
    if not context.is_in_transaction:
        return current_row(context, table, context.primary_entity_id)
    row = Entity(table.logical_name, context.primary_entity_id)
    if context.message_name == "Update":
        row.update(context.pre_image("before").attributes)
    row.update(context.target.attributes)
    return row


def current_row(context: PluginContext, table: PaymentTable, row_id: str) -> Entity | None:
    """The row as CRM has it now, with all its columns; None when there is none."""
    query = QueryExpression.of(table.logical_name, where={table.primary_id: row_id})
    return next(iter(context.organization.retrieve_multiple(query)), None)
