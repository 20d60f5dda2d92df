"""Faults between a program and Stripe, which tests can request.

Source: https://docs.stripe.com/error-low-level
"""

from __future__ import annotations

import threading
from collections import deque
from enum import StrEnum

from runner.stripe_simulator.errors import StripeRefusal, invalid
from runner.stripe_simulator.idempotency import in_use


class Fault(StrEnum):
    """A fault, and how far its request gets."""

    #: The connection broke before Stripe read the request: nothing happened.
    CONNECTION_RESET_BEFORE = "connection_reset_before"
    #: Stripe executed the request and saved the response; the connection broke before it arrived.
    CONNECTION_RESET_AFTER = "connection_reset_after"
    #: 429: nothing happened, and the key stays unused.
    RATE_LIMITED = "rate_limited"
    #: 429 with ``Stripe-Should-Retry: true``: the object was held by another request for too long.
    LOCK_TIMEOUT = "lock_timeout"
    #: 409: as if the first request with the key were still running.
    KEY_IN_USE = "key_in_use"
    #: 500 while executing: nothing happened, and the key replays the 500.
    SERVER_ERROR = "server_error"
    #: 400 while executing, as for what the account does not allow: nothing happened, and the key replays the 400.
    REFUSED = "refused"
    #: 503 before executing: nothing happened, and the key stays unused.
    UNAVAILABLE = "unavailable"


BEFORE_EXECUTION = frozenset({Fault.RATE_LIMITED, Fault.LOCK_TIMEOUT, Fault.KEY_IN_USE, Fault.UNAVAILABLE})
WHILE_EXECUTING = frozenset({Fault.SERVER_ERROR, Fault.REFUSED})


def refusal(fault: Fault) -> StripeRefusal:
    match fault:
        case Fault.RATE_LIMITED:
            return StripeRefusal(429, "Request rate limit exceeded.", code="rate_limit")
        case Fault.LOCK_TIMEOUT:
            message = (
                "This object cannot be accessed right now because another API request or Stripe process is currently "
                "accessing it. If you see this error intermittently, retry the request."
            )
            return StripeRefusal(429, message, code="lock_timeout")
        case Fault.KEY_IN_USE:
            return in_use()
        case Fault.REFUSED:
            return invalid("This account cannot currently make payments of this kind. Activate them in the Dashboard.")
        case Fault.UNAVAILABLE:
            return StripeRefusal(503, "Stripe is temporarily unavailable.", kind="api_error")
        case _:
            return StripeRefusal(500, "An unknown error occurred.", kind="api_error")


class Faults:
    """The queue of requested faults. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Fault, str]] = deque()

    def add(self, fault: Fault, times: int, on: str) -> None:
        with self._lock:
            self._waiting.extend([(fault, on)] * times)

    def take(self, method: str, path: str) -> Fault | None:
        """Remove and return the next fault for the request, if there is one."""
        with self._lock:
            for waiting in self._waiting:
                if f"{method} {path}".startswith(waiting[1]) or path.startswith(waiting[1]):
                    self._waiting.remove(waiting)
                    return waiting[0]
            return None
