"""What Stripe remembers of one account in test mode: its objects, and the events their changes made."""

from __future__ import annotations

import heapq
import random
import string
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import stripe

from azure_bridge.clock import Clock
from runner.stripe_simulator.errors import missing_resource
from runner.stripe_simulator.jsons import JSON, copied
from runner.stripe_simulator.test_methods import Behaviour

_ALPHABET = string.ascii_letters + string.digits


class Ids:
    """Ids in Stripe's form. The same ``seed`` gives the same ids; without one they are unique."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - not a secret
        self._lock = threading.Lock()

    def new(self, prefix: str, length: int = 24) -> str:
        with self._lock:
            return f"{prefix}_{''.join(self._random.choices(_ALPHABET, k=length))}"


@dataclass(frozen=True, slots=True)
class Cause:
    """The request that made a change, as its events name it; a customer's own act has neither."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Checkout:
    """What a checkout session knows and does not show."""

    payment_intent_data: JSON
    #: Last first, for pages start at the end.
    line_items: list[JSON]


@dataclass(slots=True)
class Account:
    """The objects by kind and id, oldest first. Whoever changes one holds ``lock`` (see :meth:`acting`)."""

    clock: Clock
    ids: Ids
    webhook_secret: str
    #: How far the search index is behind.
    search_lag: timedelta = timedelta(0)
    lock: threading.RLock = field(default_factory=threading.RLock)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    #: Payment methods that were used and belong to no customer: they cannot be used again.
    spent: set[str] = field(default_factory=set)
    checkouts: dict[str, Checkout] = field(default_factory=dict)
    #: Intent id to the id of the checkout session that made it.
    checkout_of: dict[str, str] = field(default_factory=dict)
    #: Called with each event as it happens, inside the step that made it.
    listeners: list[Callable[[JSON], None]] = field(default_factory=list)
    _deadlines: list[tuple[int, str, str]] = field(default_factory=list)
    _objects: defaultdict[str, dict[str, JSON]] = field(default_factory=lambda: defaultdict(dict))
    _cause: Cause = field(default_factory=Cause)

    @contextmanager
    def acting(self, cause: Cause | None = None) -> Iterator[None]:
        """Everything inside is one step to everybody else, and its events name ``cause``."""
        with self.lock:
            before, self._cause = self._cause, cause or Cause()
            try:
                yield
            finally:
                self._cause = before

    def now(self) -> int:
        """Unix time in whole seconds, as Stripe counts."""
        return int(self.clock.now().timestamp())

    def add(self, resource: JSON) -> JSON:
        self._objects[resource["object"]][resource["id"]] = resource
        return resource

    def all(self, kind: str) -> list[JSON]:
        return list(self._objects[kind].values())

    def remove(self, kind: str, resource_id: str) -> None:
        del self._objects[kind][self.find(kind, resource_id)["id"]]

    def set_deadline(self, at: int, resource: JSON) -> None:
        """Something happens to ``resource`` at ``at`` (Unix seconds), unless it has moved on by then."""
        heapq.heappush(self._deadlines, (at, resource["object"], resource["id"]))

    def overdue(self) -> Iterator[JSON]:
        """What has a deadline that passed, earliest first, each once."""
        while self._deadlines and self._deadlines[0][0] <= self.now():
            _, kind, resource_id = heapq.heappop(self._deadlines)
            yield self.find(kind, resource_id)

    def find(self, kind: str, resource_id: str, param: str = "id") -> JSON:
        """The object itself, not a copy.

        Raises:
          StripeRefusal: 404, there is none.
        """
        try:
            return self._objects[kind][resource_id]
        except KeyError:
            raise missing_resource(kind, resource_id, param) from None

    def emit(self, event_type: str, resource: JSON, before: JSON | None = None) -> None:
        """Record what happened to ``resource``, as it is now; ``before`` is what it was.

        Source: https://docs.stripe.com/api/events/object
        """
        data: JSON = {"object": copied(resource)}
        if before is not None:
            data["previous_attributes"] = {k: v for k, v in before.items() if resource.get(k) != v}
        event = self.add(
            {
                "id": self.ids.new("evt"),
                "object": "event",
                "api_version": stripe.api_version,
                "created": self.now(),
                "data": data,
                "livemode": False,
                "pending_webhooks": 1,
                "request": {"id": self._cause.request_id, "idempotency_key": self._cause.idempotency_key},
                "type": event_type,
            }
        )
        for listener in self.listeners:
            listener(event)
