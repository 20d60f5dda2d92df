"""Change tracking: first all rows of a table, afterwards only those that were created, changed or deleted.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataverse_client.exact_json import JsonObject, rows
from dataverse_client.exchange import Request, prefer
from dataverse_client.metadata import TableMetadata
from dataverse_client.query import below, next_link, query_string, select
from dataverse_client.types import Entity, guid
from dataverse_client.webapi import decode_entity

#: The error code for a table without change tracking.
CHANGE_TRACKING_DISABLED = 0x80072491


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """One page of changes. ``next_link`` leads to the next page; the last page has a ``delta_link`` for the next time.

    A row is listed once, with its present values, however often it changed. ``deleted`` holds ids, including those
    of rows that were created and deleted in the meantime.
    """

    rows: tuple[Entity, ...]
    deleted: tuple[str, ...]
    next_link: str | None
    delta_link: str | None


def changes_request(table: TableMetadata, columns: Sequence[str] | None, link: str | None, root: str) -> Request:
    """The request for the page ``link`` names, or for the first one.

    Raises:
      UnexpectedResponseError: ``link`` is not below ``root``.
    """
    path = table.entity_set_name + query_string(select(columns, table)) if link is None else below(root, link)
    return Request("GET", path, prefer("odata.track-changes"))


def read_changes(content: JsonObject, table: TableMetadata, link: str | None) -> ChangesPage:
    """The page in an answer's body, which ``link`` was requested for.

    Raises:
      UnexpectedResponseError: it is not a page, or its link to the next page leads back to itself.
    """
    values = rows(content)
    return ChangesPage(
        rows=tuple(decode_entity(value, table) for value in values if not _is_deletion(value)),
        deleted=tuple(guid(value["id"]) for value in values if _is_deletion(value)),
        next_link=next_link(content, link),
        delta_link=content.get("@odata.deltaLink"),
    )


def _is_deletion(value: Mapping[str, Any]) -> bool:
    return str(value.get("@odata.context", "")).endswith("/$deletedEntity")
