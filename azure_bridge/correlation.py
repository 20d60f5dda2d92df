"""How an event finds its row: the metadata the plug-ins write on an intent, read back with care.

Anybody with the Stripe dashboard can edit metadata, so a value that is no GUID counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure_bridge.tables import PaymentTable
from dataverse_client.types import guid, is_guid

PAYMENT_ID = "CRM_PaymentId"
SALES_ORDER_ID = "CRM_SalesOrderId"
TABLE = "CRM_Table"
ORGANIZATION_ID = "CRM_OrganizationId"
CORRELATION_ID = "CRM_CorrelationId"

_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmReference:
    """What an object's metadata says of CRM. Ids are lower-case GUIDs; the organization may be any short text."""

    organization_id: str | None = None
    row_table: str | None = None
    row_id: str | None = None
    sales_order_id: str | None = None
    correlation_id: str | None = None


_NOTHING = CrmReference()


def read_metadata(metadata: object, tables: Sequence[PaymentTable]) -> CrmReference:
    """The row an object belongs to. ``tables`` come in order of preference, after the one ``CRM_Table`` names."""
    if not isinstance(metadata, Mapping) or not metadata:
        return _NOTHING
    table, row_id = _row(metadata, tables)
    return CrmReference(
        organization_id=_organization(metadata.get(ORGANIZATION_ID)),
        row_table=table,
        row_id=row_id,
        sales_order_id=_id(metadata.get(SALES_ORDER_ID)),
        correlation_id=_id(metadata.get(CORRELATION_ID)),
    )


def _row(metadata: Mapping[str, Any], tables: Sequence[PaymentTable]) -> tuple[str, str] | tuple[None, None]:
    named_first = sorted(tables, key=lambda table: table.logical_name != metadata.get(TABLE))
    for table in named_first:
        if row_id := _id(metadata.get(table.metadata_key)):
            return table.logical_name, row_id
    return None, None


def _id(value: object) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return guid(text) if is_guid(text) else None


def _organization(value: object) -> str | None:
    """Kept even when it is no GUID: a name we do not know still says that the event is not ours."""
    if not isinstance(value, str) or not value.strip():
        return None
    return _id(value) or value.strip().lower()[:_LONGEST_NAME]
