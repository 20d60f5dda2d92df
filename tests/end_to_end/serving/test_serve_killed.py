"""A server killed while notifications come in, some twice and some in the wrong order: each row has one intent."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
import requests

from dataverse_client.types import Entity, Money

REGISTRATIONS = Path(__file__).parents[3] / "registrations.yaml"
ROWS = 60
LIVES = 3
SENDERS = 8


class ClockAhead:
    """So that the locks of killed workers have run out."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=5)


class Senders:
    """Dataverse's asynchronous service, insisting more than the real one: it posts until it is told 2xx."""

    def __init__(self, url: str, bodies: list[bytes]) -> None:
        self.accepted = 0
        self._url = url
        self._bodies = list(reversed(bodies))
        self._gate = threading.Lock()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while (body := self._next()) is not None:
                while not self._is_accepted(session, body):
                    pass
                with self._gate:
                    self.accepted += 1

    def _next(self) -> bytes | None:
        with self._gate:
            return self._bodies.pop() if self._bodies else None

    def _is_accepted(self, session: requests.Session, body: bytes) -> bool:
        headers = {"Content-Type": "application/json"}
        try:
            return session.post(self._url, data=body, headers=headers, timeout=30).status_code == 202
        except requests.RequestException:
            return False


@pytest.fixture
def rows(world) -> dict[str, Decimal]:
    """Payments and the amount each has in the end."""
    made = {}
    for number in range(ROWS):
        payment_id = world.create_payment("10.00", f"Invoice {number}")
        made[payment_id] = Decimal(number + 20)
        world.client.update(Entity("new_payment", payment_id, {"new_amount": Money(made[payment_id])}))
    return made


def told(world, rows: dict[str, Decimal]) -> list[bytes]:
    """Two notifications for each row; one in twenty twice, and all of them in disorder."""
    bodies = [world.notification("Create", row, "10.00") for row in rows]
    bodies += [world.notification("Update", row, f"{amount:.2f}") for row, amount in rows.items()]
    bodies += bodies[:: len(bodies) // 20]
    Random(7).shuffle(bodies)  # noqa: S311 - an order, not a secret
    return bodies


def test_kill_9_under_load_loses_nothing_and_doubles_nothing(world, rows) -> None:
    bodies = told(world, rows)
    serve = world.serve("--concurrency", "2")
    port = int(serve.url.rpartition(":")[2])
    with Senders(f"{serve.url}/dataverse/webhook?code=a%20key%20of%20this%20test", bodies) as senders:
        for life in range(1, LIVES + 1):
            world.until(lambda life=life: senders.accepted >= len(bodies) * life // (LIVES + 1))
            serve.kill()
            serve = world.serve("--concurrency", "2", port=port)
    assert serve.stop() == 0
    assert senders.accepted == len(bodies)

    finish(world)

    intents = {intent["metadata"]["CRM_PaymentId"]: intent for intent in world.simulator.payment_intents.values()}
    open_intents = [i for i in world.simulator.payment_intents.values() if i["status"] != "canceled"]
    assert len(open_intents) == len(intents) == ROWS
    for payment_id, amount in rows.items():
        assert world.payment(payment_id)["new_stripepaymentintentid"] == intents[payment_id]["id"]
        assert intents[payment_id]["amount"] == amount * 100


def finish(world) -> None:
    """The next worker, when the locks of the killed ones have run out."""
    from runner.intake.worker import LaneWorker
    from runner.service.wiring import opened
    from runner.settings import Settings
    from runner.tracing.recorder import Silence

    settings = Settings.load(world.settings | {"RUNNER_REGISTRATIONS": str(REGISTRATIONS)})
    clock = ClockAhead()
    with opened(settings, Silence(), clock=clock) as service:
        worker = LaneWorker(service.events, service.dispatcher.handle, clock)
        worker.run(lambda: False, when_idle=lambda: True)
        counts = service.events.counts()
    assert (counts.active, counts.locked, counts.scheduled, counts.dead_lettered) == (0, 0, 0, 0)
