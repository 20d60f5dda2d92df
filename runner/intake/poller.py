"""Polls tables with change tracking, for environments that send no notifications.

A change is put on the queue before the new delta link is saved, so a crash repeats changes and never skips one. Rows
are remembered as they were last seen. That tells a new row from a changed one, shows what changed in it, and finds what
happened in the meantime when the delta link has expired.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from azure_bridge.queues.contract import MessageQueue, QueueMessage
from dataverse_client.changes import CHANGE_TRACKING_DISABLED
from dataverse_client.client import DataverseClient
from dataverse_client.errors import ChangesExpiredError, InvalidRequestError
from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    FilterExpression,
    OrderExpression,
    QueryExpression,
)
from runner.intake.polled_notifications import PolledNotifications
from runner.intake.seen_rows import SeenRows

#: A transaction that was open while we read may later commit rows with an earlier ``modifiedon``.
_OVERLAP = timedelta(minutes=5)
_LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
_MODIFIED = "modifiedon:"
_PAGE = 500


class Poller:
    """Polls tables, and queues what ``notifications`` makes of the changes. ``seen`` belongs to one poller alone."""

    def __init__(
        self, client: DataverseClient, queue: MessageQueue, seen: SeenRows, notifications: PolledNotifications
    ) -> None:
        self._client = client
        self._queue = queue
        self._seen = seen
        self._notifications = notifications

    def poll(self, table: str, *, from_beginning: bool = False) -> int:
        """Queue a notification for each change of ``table`` since the last call. Returns how many.

        The first call only remembers the rows; with ``from_beginning`` it reports each of them as created. Deletions
        are found only in tables with change tracking.

        Raises:
          DataverseError, QueueUnavailableError, SeenRowsError: what was found so far is kept.
        """
        link = self._seen.link(table)
        if link is None:
            return self._read_all(table, tell=from_beginning)
        if link.startswith(_MODIFIED):
            return self._read_modified(table, datetime.fromisoformat(link.removeprefix(_MODIFIED)), tell=True)
        try:
            return self._follow(table, link, self._seen.last_round(table), tell=True)
        except ChangesExpiredError:
            return self._read_all(table, tell=True)

    def _read_all(self, table: str, *, tell: bool) -> int:
        """Compare every row with what was last seen of it."""
        try:
            return self._follow(table, None, self._seen.last_round(table) + 1, tell=tell)
        except InvalidRequestError as error:
            if error.code != CHANGE_TRACKING_DISABLED:
                raise
            return self._read_modified(table, None, tell=tell)

    def _follow(self, table: str, link: str | None, round_number: int, *, tell: bool) -> int:
        """Read the pages from ``link`` on. Without one every row is read, and those that are missing were deleted."""
        told, reads_all = 0, link is None
        while True:
            page = self._client.changes(table, link=link)
            told += self._keep(self._differences(page.rows, round_number), tell)
            is_last = page.next_link is None
            missing = self._seen.missing_since(table, round_number) if is_last and reads_all else ()
            # The delta link is saved together with the last changes: saved earlier, a crash would skip some.
            told += self._keep(self._deletions(table, [*page.deleted, *missing]), tell, table, page.delta_link)
            if is_last:
                return told
            link = page.next_link

    def _keep(
        self, found: Iterator[QueueMessage], tell: bool, table: str | None = None, place: str | None = None
    ) -> int:
        """Queue the messages, and only then save that their rows were seen."""
        with self._seen.saving():
            messages = list(found)
            if tell:
                for start in range(0, len(messages), _PAGE):
                    self._queue.send(messages[start : start + _PAGE])
            if table and place:
                self._seen.set_link(table, place)
        return len(messages) if tell else 0

    def _differences(self, rows: Iterable[Entity], round_number: int) -> Iterator[QueueMessage]:
        for row in rows:
            before = self._seen.get(row.logical_name, row.id or "")
            self._seen.put(row, round_number)
            if before is None:
                yield self._notifications.created(row)
            elif before.row_version != row.row_version:
                update = self._notifications.updated(before, row)
                if update is not None:
                    yield update

    def _deletions(self, table: str, row_ids: Iterable[str]) -> Iterator[QueueMessage]:
        for row_id in row_ids:
            before = self._seen.get(table, row_id)
            if before is not None:
                self._seen.forget(table, row_id)
                yield self._notifications.deleted(before)

    # --- tables without change tracking --------------------------------------------------------------------

    def _read_modified(self, table: str, since: datetime | None, *, tell: bool) -> int:
        told, round_number, latest = 0, self._seen.last_round(table), since or _LONG_AGO
        for page in _pages(self._modified(table, since)):
            latest = max(latest, page[-1].get("modifiedon", latest) - _OVERLAP)
            told += self._keep(self._differences(page, round_number), tell)
        with self._seen.saving():
            self._seen.set_link(table, f"{_MODIFIED}{latest.isoformat()}")
        return told

    def _modified(self, table: str, since: datetime | None) -> Iterator[Entity]:
        query = QueryExpression(table, orders=(OrderExpression("modifiedon"),))
        if since is not None:
            later = ConditionExpression("modifiedon", ConditionOperator.GREATER_EQUAL, (since,))
            query = replace(query, criteria=FilterExpression(conditions=(later,)))
        return self._client.query(query)


def _pages(rows: Iterator[Entity]) -> Iterator[list[Entity]]:
    page: list[Entity] = []
    for row in rows:
        page.append(row)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
