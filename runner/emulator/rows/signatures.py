"""Caches the user and the second in which rows are written.

While they stay the same, the same objects are returned, so that values made from them can be cached by identity.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from azure_bridge.clock import Clock
from dataverse_client.types import EntityReference

_ONE_SECOND = timedelta(seconds=1)


class UserReferences(dict[str, EntityReference]):
    """The reference to each user, by id."""

    def __missing__(self, id: str) -> EntityReference:
        user = self[id] = EntityReference("systemuser", id)
        return user


class PresentSecond:
    """The clock's time in whole seconds, as Dataverse stores it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin = self._end = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        now = self._clock.now()
        if not self._begin <= now < self._end:
            self._begin = now.replace(microsecond=0)
            self._end = self._begin + _ONE_SECOND
        return self._begin
