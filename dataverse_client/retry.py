"""When a request is sent again, and after how long.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/api-limits#retry-operations
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from urllib3.exceptions import NewConnectionError

#: The gateway gave up waiting: Dataverse may or may not have carried out the request.
GATEWAY_STATUSES = frozenset({502, 503, 504})
#: Seconds. A server that asks for more is mistaken, and the number might not even fit a timedelta.
_LONGEST_WAIT = 86_400.0


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How often and how patiently a request is repeated. All times are in seconds.

    The wait after attempt n is drawn evenly from 0 to ``base_delay * 2**(n-1)``, at most ``max_delay``; a
    Retry-After is waited for in full. No attempt is started after ``deadline``.
    ``back_off=False`` is for tests: it repeats at once, whatever the server asks for.
    """

    attempts: int = 5
    base_delay: float = 0.5
    max_delay: float = 30.0
    deadline: float = 300.0
    back_off: bool = True

    def wait(self, attempt: int, retry_after: float | None, uniform: Callable[[float, float], float]) -> float:
        """Seconds to wait after the ``attempt``-th attempt (the first is 1)."""
        if not self.back_off:
            return 0.0
        if retry_after is not None:
            # All clients that were turned away are told the same moment, so a little jitter is added here too.
            return retry_after + uniform(0.0, self.base_delay)
        return uniform(0.0, min(self.max_delay, self.base_delay * 2 ** (attempt - 1)))


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait in seconds that the ``retry-after`` header asks for, at most a day; None without one.

    ``headers`` have lower-case names; the value is a number of seconds or an HTTP date.

    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (aware - now).total_seconds()), _LONGEST_WAIT)


def never_sent(error: requests.RequestException) -> bool:
    """Whether no connection was made, so that Dataverse cannot have received the request."""
    return isinstance(error, requests.ConnectTimeout) or isinstance(_reason(error), NewConnectionError)


def trouble(error: requests.RequestException) -> str:
    """A short description of a network error, without the URL: its query may hold personal data."""
    status = "" if error.response is None else f" {error.response.status_code}"
    reason = _reason(error)
    said = f": {str(reason).rpartition(': ')[2]}" if reason else ""
    return f"{type(error).__name__}{status}{said}"


def _reason(error: requests.RequestException) -> Exception | None:
    return getattr(error.args[0], "reason", None) if error.args else None
