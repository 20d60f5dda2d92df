"""One account in test mode: its objects, and the events about their changes."""

from __future__ import annotations

import heapq
import random
import string
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import stripe

from azure_bridge.clock import Clock
from runner.stripe_simulator.errors import missing_resource
from runner.stripe_simulator.idempotency import SavedKey
from runner.stripe_simulator.jsons import JSON, copied

_ALPHABET = string.ascii_letters + string.digits


class Ids:
    """Generates ids in Stripe's form. The same ``seed`` gives the same ids; without one they are unique."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - not a secret
        self._lock = threading.Lock()

    def new(self, prefix: str, length: int = 24) -> str:
        with self._lock:
            return f"{prefix}_{''.join(self._random.choices(_ALPHABET, k=length))}"


@dataclass(frozen=True, slots=True)
class Cause:
    """The request that caused a change, for its events. An action of a customer or bank has neither id nor key."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object to store. ``shown`` is None if it was removed."""

    kind: str
    id: str
    shown: JSON | None
    hidden: JSON


class Storage(Protocol):
    """Stores an account beyond the life of the process."""

    def save(self, objects: Iterable[StoredObject], keys: Iterable[SavedKey]) -> None:
        """Store all of it, or nothing."""


@dataclass(slots=True)
class Account:
    """The objects by kind and id, oldest first. Changes need ``lock`` (see :meth:`acting`).

    :meth:`hidden` holds what the simulator knows of an object and the API does not return:
      of a payment method: ``behaviour`` (the test method's id), ``spent`` (used, and belongs to no customer)
      of a session: ``payment_intent_data``, ``line_items`` (last first, because lists start at the end)
      of an intent: ``session`` (that created it)
      of any: ``deadline`` (Unix seconds)
    """

    clock: Clock
    ids: Ids
    webhook_secret: str
    #: The delay of the search index.
    search_lag: timedelta = timedelta(0)
    lock: threading.RLock = field(default_factory=threading.RLock)
    storage: Storage | None = None
    #: Called with each event at once, within :meth:`acting`.
    listeners: list[Callable[[JSON], None]] = field(default_factory=list)
    _deadlines: list[tuple[int, str, str]] = field(default_factory=list)
    _objects: defaultdict[str, dict[str, JSON]] = field(default_factory=lambda: defaultdict(dict))
    _hidden: defaultdict[str, JSON] = field(default_factory=lambda: defaultdict(dict))
    _cause: Cause = field(default_factory=Cause)
    _depth: int = 0
    #: The objects that the current :meth:`acting` may have changed (kind by id), and its idempotency keys.
    _touched: dict[str, str] = field(default_factory=dict)
    _saved_keys: list[SavedKey] = field(default_factory=list)

    @contextmanager
    def acting(self, cause: Cause | None = None) -> Iterator[None]:
        """Make all changes within the block at once for other threads and the storage. Its events name ``cause``."""
        with self.lock:
            before, self._cause = self._cause, cause or Cause()
            self._depth += 1
            try:
                yield
            finally:
                self._cause = before
                self._depth -= 1
                if self._depth == 0:
                    self._save()

    def _save(self) -> None:
        touched, self._touched = self._touched, {}
        keys, self._saved_keys = self._saved_keys, []
        if self.storage is not None:
            self.storage.save(
                (
                    StoredObject(kind, id_, self._objects[kind].get(id_), self._hidden[id_])
                    for id_, kind in touched.items()
                ),
                keys,
            )

    def restore(self, objects: Iterable[StoredObject]) -> None:
        """Load stored objects, oldest first."""
        for stored in objects:
            self._objects[stored.kind][stored.id] = stored.shown or {}
            self._hidden[stored.id] = stored.hidden
            if deadline := stored.hidden.get("deadline"):
                heapq.heappush(self._deadlines, (deadline, stored.kind, stored.id))

    def save_key(self, key: SavedKey) -> None:
        """Store an idempotency key together with the changes of its request."""
        self._saved_keys.append(key)

    def now(self) -> int:
        """The Unix time in whole seconds, as Stripe has it."""
        return int(self.clock.now().timestamp())

    def add(self, resource: JSON) -> JSON:
        self._objects[resource["object"]][resource["id"]] = resource
        self._touched[resource["id"]] = resource["object"]
        return resource

    def hidden(self, resource_id: str) -> JSON:
        """The hidden facts of an object, which can be changed."""
        return self._hidden[resource_id]

    def all(self, kind: str) -> list[JSON]:
        return list(self._objects[kind].values())

    def remove(self, kind: str, resource_id: str) -> None:
        del self._objects[kind][self.find(kind, resource_id)["id"]]
        self._hidden.pop(resource_id, None)

    def set_deadline(self, at: int, resource: JSON) -> None:
        """Have :meth:`overdue` return ``resource`` from ``at`` (Unix seconds) on."""
        heapq.heappush(self._deadlines, (at, resource["object"], resource["id"]))
        self._hidden[resource["id"]]["deadline"] = at

    def overdue(self) -> Iterator[JSON]:
        """The objects whose deadline has passed, earliest first, each once."""
        while self._deadlines and self._deadlines[0][0] <= self.now():
            _, kind, resource_id = heapq.heappop(self._deadlines)
            yield self.find(kind, resource_id)

    def find(self, kind: str, resource_id: str, param: str = "id") -> JSON:
        """The object itself, not a copy, so that it can be changed.

        Raises:
          StripeRefusal: 404, there is no such object.
        """
        try:
            found = self._objects[kind][resource_id]
        except KeyError:
            raise missing_resource(kind, resource_id, param) from None
        self._touched[resource_id] = kind
        return found

    def emit(self, event_type: str, resource: JSON, before: JSON | None = None) -> None:
        """Record an event about ``resource`` in its current state; ``before`` is its previous state.

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
