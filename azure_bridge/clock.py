"""The clock that is passed to whatever needs the time, so that tests can set it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The time, aware and in UTC."""


class SystemClock:
    """The time of the machine."""

    now = staticmethod(partial(datetime.now, UTC))


class ManualClock:
    """A clock that stands still until it is advanced, for tests and simulations."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock forward."""
        self._now += by

    def move_to(self, moment: datetime) -> None:
        """Raises ValueError: the moment has no time zone."""
        if moment.tzinfo is None:
            raise ValueError(f"{moment} has no time zone. Say datetime(..., tzinfo=UTC).")
        self._now = moment.astimezone(UTC)
