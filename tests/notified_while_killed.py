"""Notifications of many payments, some twice and some in the wrong order, sent to a server that is killed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random

import requests
from serving_world import WEBHOOK_KEY, World

from azure_bridge.queues.contract import QueueCounts
from dataverse_client.types import Entity, Money

SENDERS = 8
#: One notification in so many comes twice, and one in so many comes at another time.
ONE_IN = 20


@dataclass(frozen=True)
class Notified:
    """How it ended. ``rows``: payment id -> the amount it has in the end."""

    rows: dict[str, Decimal]
    notifications: int
    accepted: int
    refused: int
    left: QueueCounts


def notify_and_kill(world: World, rows: int, lives: int, say: Callable[[str], object] = lambda _: None) -> Notified:
    """Two notifications for each of ``rows`` payments, to a server that is killed ``lives`` times before the end."""
    amounts = payments(world, rows)
    bodies = notifications(world, amounts)
    say(f"{rows} payments are there; sending {len(bodies)} notifications")
    serve = world.serve("--concurrency", "2", port=world.port)
    key = requests.utils.quote(WEBHOOK_KEY)
    with Senders(f"{serve.url}/dataverse/webhook?code={key}", bodies) as senders:
        for life in range(1, lives + 1):
            world.until(lambda life=life: senders.accepted >= len(bodies) * life // (lives + 1), seconds=3600)
            serve.kill()
            say(f"killed after {senders.accepted} were accepted")
            serve = world.serve("--concurrency", "2", port=world.port)
    assert serve.stop() == 0
    say(f"all {senders.accepted} are accepted; a worker finishes what is left")
    # Later, so that the locks of killed workers have run out.
    left = world.work_through(timedelta(minutes=5))
    return Notified(amounts, len(bodies), senders.accepted, senders.refused, left)


def payments(world: World, rows: int) -> dict[str, Decimal]:
    """Payments whose amount was changed once."""
    made = {}
    for number in range(rows):
        payment_id = world.create_payment("10.00", f"Invoice {number}")
        made[payment_id] = Decimal(number + 20)
        world.client.update(Entity("new_payment", payment_id, {"new_amount": Money(made[payment_id])}))
    return made


def notifications(world: World, rows: dict[str, Decimal]) -> list[bytes]:
    bodies = []
    for row, amount in rows.items():
        bodies.append(world.notification("Create", row, "10.00"))
        bodies.append(world.notification("Update", row, f"{amount:.2f}"))
    bodies += bodies[::ONE_IN]
    chance = Random(7)  # noqa: S311 - an order, not a secret
    for place in range(0, len(bodies), ONE_IN):
        other = chance.randrange(len(bodies))
        bodies[place], bodies[other] = bodies[other], bodies[place]
    return bodies


class Senders:
    """Dataverse's asynchronous service, insisting more than the real one: it posts until it is told 2xx."""

    def __init__(self, url: str, bodies: list[bytes]) -> None:
        self.accepted = self.refused = 0
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
                    self._count(refused=1)
                self._count(accepted=1)

    def _next(self) -> bytes | None:
        with self._gate:
            return self._bodies.pop() if self._bodies else None

    def _count(self, accepted: int = 0, refused: int = 0) -> None:
        with self._gate:
            self.accepted += accepted
            self.refused += refused

    def _is_accepted(self, session: requests.Session, body: bytes) -> bool:
        headers = {"Content-Type": "application/json"}
        try:
            return session.post(self._url, data=body, headers=headers, timeout=30).status_code == 202
        except requests.RequestException:
            return False


def check(world: World, notified: Notified) -> None:
    """Nothing is lost and nothing doubled: each row has one intent, of its amount, and no other is open."""
    assert notified.accepted == notified.notifications
    left = notified.left
    assert (left.active, left.locked, left.scheduled, left.dead_lettered) == (0, 0, 0, 0)
    made = world.simulator.payment_intents
    still_open = [intent for intent in made.values() if intent["status"] != "canceled"]
    assert len(still_open) == len(notified.rows)
    for payment_id, amount in notified.rows.items():
        intent = made[world.payment(payment_id)["new_stripepaymentintentid"]]
        assert (intent["metadata"]["CRM_PaymentId"], intent["amount"]) == (payment_id, amount * 100)
        assert intent["status"] != "canceled"
