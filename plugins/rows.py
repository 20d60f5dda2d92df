"""The row a step runs for: as the operation will leave it, or as CRM has it now."""

from __future__ import annotations

from dataverse_client.types import Entity, QueryExpression
from plugins.payment_tables import PaymentTable, table_of
from runner.plugin import PluginContext


def row_as_it_will_be(context: PluginContext) -> Entity | None:
    """The row as it will be after the operation; None when it has been deleted in the meantime.

    Outside the transaction the context may be out of date, so the row is read from CRM instead.
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
