"""Service protection limits: requests, time and concurrency that a user may take up.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/api-limits
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from azure_bridge.clock import Clock
from runner.emulator.errors import OrganizationServiceFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one user may do. The defaults are Dataverse's."""

    requests: int = 6000
    execution_time: timedelta = timedelta(minutes=20)
    """Of all requests in a window together."""
    concurrent: int = 52
    window: timedelta = timedelta(minutes=5)


class TooManyRequests(OrganizationServiceFault):
    """A limit is reached. ``retry_after`` is in seconds."""

    http_status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RequestLimitExceeded(TooManyRequests):
    code = 0x80072322


class ExecutionTimeLimitExceeded(TooManyRequests):
    code = 0x80072321


class ConcurrencyLimitExceeded(TooManyRequests):
    code = 0x80072326


@dataclass(slots=True)
class _Usage:
    """What a user did within the window, oldest first; requests that run are in ``running`` alone."""

    started: deque[datetime] = field(default_factory=deque)
    finished: deque[tuple[datetime, timedelta]] = field(default_factory=deque)
    executed: timedelta = timedelta()
    running: int = 0

    def forget_before(self, moment: datetime) -> None:
        while self.started and self.started[0] <= moment:
            self.started.popleft()
        while self.finished and self.finished[0][0] <= moment:
            self.executed -= self.finished.popleft()[1]


class ServiceProtection:
    """Counts each user's requests in windows that slide with the clock. For one thread, the event loop's."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._usage: defaultdict[str, _Usage] = defaultdict(_Usage)

    def admit(self, user_id: str) -> datetime:
        """Count a request of that user; answers when it began, for :meth:`finished`.

        Raises:
          TooManyRequests: (one of its kinds) a limit is reached. The request does not count.
        """
        now, usage = self._clock.now(), self._usage[user_id]
        usage.forget_before(now - self._limits.window)
        self._check(usage, now)
        usage.started.append(now)
        usage.running += 1
        return now

    def finished(self, user_id: str, began: datetime) -> None:
        """The request that was admitted at ``began`` has been answered."""
        now, usage = self._clock.now(), self._usage[user_id]
        usage.running -= 1
        usage.executed += now - began
        usage.finished.append((now, now - began))

    def headers(self, user_id: str) -> Mapping[str, str]:
        """What is left to that user, as every answer says it: a number of requests, and seconds of execution."""
        usage = self._usage[user_id]
        time_left = max(self._limits.execution_time - usage.executed, timedelta())
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(max(self._limits.requests - len(usage.started), 0)),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{time_left.total_seconds():,.2f}",
        }

    def _check(self, usage: _Usage, now: datetime) -> None:
        limits, window = self._limits, int(self._limits.window.total_seconds())
        if usage.running >= limits.concurrent:
            raise ConcurrencyLimitExceeded(
                f"Number of concurrent requests exceeded the limit of {limits.concurrent}.", retry_after=1
            )
        if len(usage.started) >= limits.requests:
            raise RequestLimitExceeded(
                f"Number of requests exceeded the limit of {limits.requests} over time window of {window} seconds.",
                self._until_forgotten(usage.started[0], now),
            )
        if usage.executed >= limits.execution_time:
            milliseconds = int(limits.execution_time.total_seconds() * 1000)
            raise ExecutionTimeLimitExceeded(
                f"Combined execution time of incoming requests exceeded limit of {milliseconds:,} milliseconds over "
                f"time window of {window} seconds. Decrease number of concurrent requests or reduce the duration of "
                "requests and try again later.",
                self._until_forgotten(usage.finished[0][0], now),
            )

    def _until_forgotten(self, moment: datetime, now: datetime) -> int:
        return max(ceil((moment + self._limits.window - now).total_seconds()), 1)
