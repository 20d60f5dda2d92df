"""Idempotency keys: the first answer to a key is repeated for a day.

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
class Asked:
    """What a key stands for: the same request, down to its parameters."""

    path: str
    params: JSON


@dataclass(frozen=True, slots=True)
class Saved:
    """The first answer, and the request that got it."""

    status: int
    body: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A key whose request is over. ``since`` is when that request came."""

    key: str
    asked: Asked
    since: datetime
    answer: Saved


@dataclass(slots=True)
class _Entry:
    asked: Asked
    since: datetime
    answer: Saved | None = None


class IdempotencyKeys:
    """The keys of one account. Safe to use from several threads."""

    def __init__(self, clock: Clock, answered: Iterable[Answered] = ()) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries = {each.key: _Entry(each.asked, each.since, each.answer) for each in answered}

    def begin(self, key: str, asked: Asked) -> Saved | None:
        """The saved answer to replay; None when the request is the first, which must then finish or forget.

        Raises:
          StripeRefusal: the key is too long, stands for another request, or its first request is still running.
        """
        if len(key) > KEY_LENGTH:
            raise invalid(f"Idempotency keys can have up to {KEY_LENGTH} characters, but you passed {len(key)}.")
        with self._lock:
            entry = self._current(key)
            if entry is None:
                self._entries[key] = _Entry(asked, self._clock.now())
                return None
            _require_same(entry.asked, asked)
            if entry.answer is None:
                raise in_use()
            return entry.answer

    def answered(self, key: str, answer: Saved) -> Answered:
        """What is to be remembered of a key that is about to finish."""
        with self._lock:
            entry = self._entries[key]
        return Answered(key, entry.asked, entry.since, answer)

    def finish(self, key: str, answer: Saved) -> None:
        with self._lock:
            self._entries[key].answer = answer

    def forget(self, key: str) -> None:
        """The request never began: the key is as good as new."""
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


def _require_same(first: Asked, now: Asked) -> None:
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
