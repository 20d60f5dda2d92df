"""Implements idempotency keys: the first response to a key is repeated for 24 hours.

Source: https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure_bridge.clock import Clock
from runner.stripe_simulator.errors import StripeRefusal, invalid
from runner.stripe_simulator.jsons import JSON

KEY_LENGTH = 255
LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """The request that a key was used for, which retries must equal."""

    path: str
    params: JSON


@dataclass(frozen=True, slots=True)
class SavedResponse:
    """The first response to a key, and the id of its request."""

    status: int
    body: str
    request_id: str


@dataclass(frozen=True, slots=True)
class SavedKey:
    """A key whose request is finished. ``since`` is the time of that request."""

    key: str
    request: KeyedRequest
    since: datetime
    response: SavedResponse


@dataclass(slots=True)
class _Entry:
    request: KeyedRequest
    since: datetime
    response: SavedResponse | None = None


class IdempotencyKeys:
    """The keys of one account. Safe to use from several threads."""

    def __init__(self, clock: Clock, saved: Iterable[SavedKey] = ()) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries = {each.key: _Entry(each.request, each.since, each.response) for each in saved}

    def begin(self, key: str, request: KeyedRequest) -> SavedResponse | None:
        """Begin a request with a key. Returns the saved response to replay.

        Raises:
          StripeRefusal: the key is too long, was used for another request, or its first request is still running.
        """
        if len(key) > KEY_LENGTH:
            raise invalid(f"Idempotency keys can have up to {KEY_LENGTH} characters, but you passed {len(key)}.")
        with self._lock:
            entry = self._current(key)
            if entry is None:
                self._entries[key] = _Entry(request, self._clock.now())
                return None
            _require_same(entry.request, request)
            if entry.response is None:
                raise in_use()
            return entry.response

    def saved(self, key: str, response: SavedResponse) -> SavedKey:
        """The key with its response, to be stored before :meth:`finish`."""
        with self._lock:
            entry = self._entries[key]
        return SavedKey(key, entry.request, entry.since, response)

    def finish(self, key: str, response: SavedResponse) -> None:
        with self._lock:
            self._entries[key].response = response

    def forget(self, key: str) -> None:
        """Make the key unused again, because its request was not executed."""
        with self._lock:
            del self._entries[key]

    def _current(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None or entry.since + LIFETIME <= self._clock.now():
            return None
        return entry


def in_use() -> StripeRefusal:
    message = (
        "There is currently another in-progress request using this Stripe-Idempotency-Key. Please try again later."
    )
    return StripeRefusal(409, message, code="idempotency_key_in_use")


def _require_same(first: KeyedRequest, now: KeyedRequest) -> None:
    if first.path != now.path:
        message = (
            "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{now.path}' vs '{first.path}'). Try using a key other than the one you gave."
        )
        raise StripeRefusal(400, message, kind="idempotency_error")
    if first.params != now.params:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            "Try using a key other than the one you gave if you meant to execute a different request."
        )
        raise StripeRefusal(400, message, kind="idempotency_error")
