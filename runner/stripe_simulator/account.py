"""One account in test mode: its objects, and the events that their changes caused."""

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
from runner.stripe_simulator.idempotency import Answered
from runner.stripe_simulator.jsons import JSON, copied

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
class Kept:
    """One object as it is to be remembered; ``shown`` None: it was removed."""

    kind: str
    id: str
    shown: JSON | None
    hidden: JSON


class Keeper(Protocol):
    """Remembers for longer than this process lives."""

    def keep(self, objects: Iterable[Kept], answered: Iterable[Answered]) -> None:
        """All of it or nothing."""


@dataclass(slots=True)
class Account:
    """The objects by kind and id, oldest first. Whoever changes one holds ``lock`` (see :meth:`acting`).

    What an object knows and does not show is under :meth:`hidden`:
      of a payment method: ``behaviour`` (the test method's id), ``spent`` (used, and belongs to no customer)
      of a session: ``payment_intent_data``, ``line_items`` (last first, for pages start at the end)
      of an intent: ``session`` (that made it)
      of any: ``deadline`` (Unix seconds)
    """

    clock: Clock
    ids: Ids
    webhook_secret: str
    #: How far the search index is behind.
    search_lag: timedelta = timedelta(0)
    lock: threading.RLock = field(default_factory=threading.RLock)
    keeper: Keeper | None = None
    #: Called with each event as it happens, inside the step that made it.
    listeners: list[Callable[[JSON], None]] = field(default_factory=list)
    _deadlines: list[tuple[int, str, str]] = field(default_factory=list)
    _objects: defaultdict[str, dict[str, JSON]] = field(default_factory=lambda: defaultdict(dict))
    _hidden: defaultdict[str, JSON] = field(default_factory=lambda: defaultdict(dict))
    _cause: Cause = field(default_factory=Cause)
    _depth: int = 0
    #: Id and kind of what the step at work has had in its hands, and what it answered.
    _touched: dict[str, str] = field(default_factory=dict)
    _answered: list[Answered] = field(default_factory=list)

    @contextmanager
    def acting(self, cause: Cause | None = None) -> Iterator[None]:
        """Everything inside is one step to everybody else, and its events name ``cause``."""
        with self.lock:
            before, self._cause = self._cause, cause or Cause()
            self._depth += 1
            try:
                yield
            finally:
                self._cause = before
                self._depth -= 1
                if self._depth == 0:
                    self._keep()

    def _keep(self) -> None:
        touched, self._touched = self._touched, {}
        answered, self._answered = self._answered, []
        if self.keeper is not None:
            self.keeper.keep(
                (Kept(kind, id_, self._objects[kind].get(id_), self._hidden[id_]) for id_, kind in touched.items()),
                answered,
            )

    def restore(self, objects: Iterable[Kept]) -> None:
        """Begin with what was kept, oldest first."""
        for kept in objects:
            self._objects[kept.kind][kept.id] = kept.shown or {}
            self._hidden[kept.id] = kept.hidden
            if deadline := kept.hidden.get("deadline"):
                heapq.heappush(self._deadlines, (deadline, kept.kind, kept.id))

    def answer(self, answered: Answered) -> None:
        """Remember the answer together with what it tells of."""
        self._answered.append(answered)

    def now(self) -> int:
        """Unix time in whole seconds, as Stripe counts."""
        return int(self.clock.now().timestamp())

    def add(self, resource: JSON) -> JSON:
        self._objects[resource["object"]][resource["id"]] = resource
        self._touched[resource["id"]] = resource["object"]
        return resource

    def hidden(self, resource_id: str) -> JSON:
        """What an object that is being worked on does not show; to be written, too."""
        return self._hidden[resource_id]

    def all(self, kind: str) -> list[JSON]:
        return list(self._objects[kind].values())

    def remove(self, kind: str, resource_id: str) -> None:
        del self._objects[kind][self.find(kind, resource_id)["id"]]
        self._hidden.pop(resource_id, None)

    def set_deadline(self, at: int, resource: JSON) -> None:
        """Something happens to ``resource`` at ``at`` (Unix seconds), unless it has moved on by then."""
        heapq.heappush(self._deadlines, (at, resource["object"], resource["id"]))
        self._hidden[resource["id"]]["deadline"] = at

    def overdue(self) -> Iterator[JSON]:
        """What has a deadline that passed, earliest first, each once."""
        while self._deadlines and self._deadlines[0][0] <= self.now():
            _, kind, resource_id = heapq.heappop(self._deadlines)
            yield self.find(kind, resource_id)

    def find(self, kind: str, resource_id: str, param: str = "id") -> JSON:
        """The object itself, not a copy: to be looked at or worked on.

        Raises:
          StripeRefusal: 404, there is none.
        """
        try:
            found = self._objects[kind][resource_id]
        except KeyError:
            raise missing_resource(kind, resource_id, param) from None
        self._touched[resource_id] = kind
        return found

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
