"""By whom and when rows are written: the same objects as long as they stay the same.

What is made from them for one row is then found again for the next by identity.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from azure_bridge.clock import Clock
from dataverse_client.types import EntityReference

_ONE_SECOND = timedelta(seconds=1)


class UserReferences(dict[str, EntityReference]):
    """One reference for all that a user does."""

    def __missing__(self, id: str) -> EntityReference:
        user = self[id] = EntityReference("systemuser", id)
        return user


class PresentSecond:
    """Dataverse keeps whole seconds: what the clock says, without their fractions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin = self._end = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        now = self._clock.now()
        if not self._begin <= now < self._end:
            self._begin = now.replace(microsecond=0)
            self._end = self._begin + _ONE_SECOND
        return self._begin
