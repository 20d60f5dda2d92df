"""Posts the simulator's events to the account's webhook endpoints as Stripe does: signed, until they answer 2xx.

Source: https://docs.stripe.com/webhooks#delivery-behaviors
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import requests
import stripe

from runner.service.wiring import Service
from runner.stripe_simulator import StripeSimulator

#: Tells our endpoint from those a person has made.
_DESCRIPTION = "runner serve"
#: Seconds to connect and to wait for the answer.
_TIMEOUT = (3, 10)
#: Seconds before the second attempt; each further one waits twice as long. Stripe has hours, nobody at a desk has.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0

_log = logging.getLogger(__name__)


@contextmanager
def simulated_webhooks(service: Service, url: str) -> Iterator[Callable[[], None]]:
    """Deliver to ``url`` what happens at the simulator, if it is one; calling what it yields ends that early."""
    simulator, bridge = service.stripe.simulator, service.registrations.bridge
    if simulator is None or bridge is None:
        yield lambda: None
        return
    _lead_events_to(url, bridge.events, simulator.client())
    with StripeWebhooks(simulator) as sending:
        yield sending.stop


def _lead_events_to(url: str, events: Collection[str], client: stripe.StripeClient) -> None:
    """To one endpoint of ours, wherever it led before."""
    endpoints = client.v1.webhook_endpoints
    ours = [each for each in endpoints.list({"limit": 100}) if each.description == _DESCRIPTION]
    wanted: Any = {"url": url, "enabled_events": list(events)}
    if ours:
        endpoints.update(ours[0].id, wanted)
    else:
        endpoints.create(wanted | {"description": _DESCRIPTION})


class StripeWebhooks:
    """Delivers in a thread of its own until the block ends. What is not delivered by then is not acknowledged."""

    def __init__(self, simulator: StripeSimulator) -> None:
        self._simulator = simulator
        self._changed = threading.Condition()
        #: When to try (by the monotonic clock), in which order, how often it was tried, and the event.
        self._waiting: list[tuple[float, int, int, dict[str, Any]]] = []
        self._order = count()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="stripe webhooks")

    def __enter__(self) -> StripeWebhooks:
        for event in self._simulator.listen(self._put):
            self._put(event)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Begin no further delivery."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _put(self, event: dict[str, Any], attempt: int = 0) -> None:
        with self._changed:
            due = time.monotonic() + pause_before(attempt)
            heapq.heappush(self._waiting, (due, next(self._order), attempt, event))
            self._changed.notify()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while (due := self._next()) is not None:
                attempt, event = due
                if self._is_delivered(event, session):
                    self._simulator.acknowledge(event["id"])
                else:
                    self._put(event, attempt + 1)

    def _next(self) -> tuple[int, dict[str, Any]] | None:
        """What is due, once something is; None at the end."""
        with self._changed:
            while not self._stopping:
                pause = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if pause is not None and pause <= 0:
                    return heapq.heappop(self._waiting)[2:]
                self._changed.wait(pause)
            return None

    def _is_delivered(self, event: dict[str, Any], session: requests.Session) -> bool:
        """Whether everybody who wants the event has it. Who has it already, and somebody else not, gets it twice."""
        [delivery] = self._simulator.deliveries([event])
        wanting = [each["url"] for each in self._simulator.webhook_endpoints if _wants(each, event["type"])]
        taken = [_is_taken(url, delivery.payload, delivery.headers, session) for url in wanting]
        return all(taken)


def pause_before(attempt: int) -> float:
    """Seconds; the first attempt, 0, waits for nothing."""
    # The exponent is bounded: no float is longer than a night of attempts.
    return min(_FIRST_PAUSE * 2 ** min(attempt - 1, 32), _LONGEST_PAUSE) if attempt else 0.0


def _wants(endpoint: dict[str, Any], event_type: str) -> bool:
    return endpoint["status"] == "enabled" and not {"*", event_type}.isdisjoint(endpoint["enabled_events"])


def _is_taken(url: str, payload: bytes, headers: dict[str, str], session: requests.Session) -> bool:
    try:
        answer = session.post(url, payload, headers=headers, timeout=_TIMEOUT)
    except requests.RequestException as error:
        _log.warning("Stripe's events do not reach %s: %s", url, type(error).__name__)
        return False
    if not answer.ok:
        _log.warning("Stripe's events are refused by %s: %s %s", url, answer.status_code, answer.text.strip())
    return answer.ok
