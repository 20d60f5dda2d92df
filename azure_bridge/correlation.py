"""Reads the metadata that plug-ins write on an intent, by which an event finds its row.

Anybody with access to the Stripe dashboard can edit metadata, so a value that is not a GUID counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azure_bridge.tables import PaymentTable
from dataverse_client.types import guid

SALES_ORDER_ID = "CRM_SalesOrderId"
TABLE = "CRM_Table"
ORGANIZATION_ID = "CRM_OrganizationId"
CORRELATION_ID = "CRM_CorrelationId"

_LONGEST_NAME = 128


def read_metadata(metadata: object, tables: Sequence[PaymentTable]) -> dict[str, Any]:
    """The row, organization and correlation id in an object's metadata, as fields of PaymentEvent.

    If it holds ids for several tables, the one that ``CRM_Table`` names counts, otherwise the first of ``tables``.
    """
    if not isinstance(metadata, dict) or not metadata:
        return {}
    table, row_id = _row(metadata, tables)
    return {
        "organization_id": _organization(metadata.get(ORGANIZATION_ID)),
        "row_table": table,
        "row_id": row_id,
        "sales_order_id": _id(metadata.get(SALES_ORDER_ID)),
        "correlation_id": _id(metadata.get(CORRELATION_ID)),
    }


def _row(metadata: Mapping[str, Any], tables: Sequence[PaymentTable]) -> tuple[str, str] | tuple[None, None]:
    named = metadata.get(TABLE)
    found = [
        (table.logical_name, row_id)
        for table in tables
        if (row_id := _id(metadata.get(table.metadata_key))) is not None
    ]
    return next((row for row in found if row[0] == named), found[0] if found else (None, None))


def _id(value: object) -> str | None:
    try:
        return guid(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return None


def _organization(value: object) -> str | None:
    """The organization's id. A value that is not a GUID is kept too: it still shows that the event is not ours."""
    if not isinstance(value, str) or not value.strip():
        return None
    return _id(value) or value.strip().lower()[:_LONGEST_NAME]
