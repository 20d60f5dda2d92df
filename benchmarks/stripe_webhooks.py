"""Durable receipts of Stripe's events, against the handler that Stripe's documentation shows, with a table behind it.

    PYTHONPATH=. python benchmarks/stripe_webhooks.py

The other side verifies with ``stripe.Webhook.construct_event``, writes a row and commits, in Starlette's threads. Both
use SQLite, in WAL mode and with every commit on disk. The processor time is the server's alone.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import sys
import threading
import time
from hashlib import sha256
from hmac import new as hmac
from pathlib import Path
from typing import Any

from load import Request, compare

from runner.stripe_simulator import WEBHOOK_SECRET, StripeSimulator

SIDES = ("construct_event and a commit", "durable")
REGISTRATIONS = Path(__file__).parents[1] / "registrations.yaml"
_ids = itertools.count()


def events() -> Any:
    """Signed events, alike but for their ids."""
    simulator = StripeSimulator()
    intent = simulator.client().v1.payment_intents.create(
        {"amount": 1999, "currency": "usd", "metadata": {"CRM_PaymentId": "7b1f4a0e-2f52-4e11-be6f-000000000000"}}
    )
    simulator.pay(intent.id)
    [paid] = [event for event in simulator.events if event["type"] == "payment_intent.succeeded"]
    before, _, after = json.dumps(paid, indent=2).partition(paid["id"])

    def request() -> Request:
        body = f"{before}evt_{next(_ids):024d}{after}".encode()
        at = int(time.time())
        signature = hmac(WEBHOOK_SECRET.encode(), f"{at}.".encode() + body, sha256).hexdigest()
        return body, f"Stripe-Signature: t={at},v1={signature}\r\n"

    return request


def documented(directory: Path) -> Any:
    """What Stripe's documentation shows, keeping each event once."""
    import stripe
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request as Asked
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    kept = threading.local()

    def connection() -> sqlite3.Connection:
        if not hasattr(kept, "connection"):
            kept.connection = sqlite3.connect(directory / "events.db", timeout=30)
            kept.connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
            kept.connection.execute("CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, body BLOB)")
        return kept.connection

    def take(body: bytes, signature: str) -> None:
        event = stripe.Webhook.construct_event(body, signature, WEBHOOK_SECRET)
        with connection() as database:
            database.execute("INSERT OR IGNORE INTO event VALUES (?, ?)", (event.id, body))

    async def receive(request: Asked) -> PlainTextResponse:
        await run_in_threadpool(take, await request.body(), request.headers["stripe-signature"])
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", receive, methods=["POST"])])


def serve(side: str, directory: Path) -> None:
    from runner.service.wiring import opened
    from runner.settings import Settings
    from runner.tracing.recorder import Silence
    from runner.web.server import Server, listen, url_of
    from runner.web.serving.hooks import StripeHook

    settings = Settings(runner_data_dir=directory, runner_registrations=REGISTRATIONS)
    with listen("127.0.0.1", 0) as bound, opened(settings, Silence()) as service:
        hook = StripeHook(service.receiver, service.payments, service.observer)
        app = hook if side == "durable" else documented(directory)
        url = url_of(bound, "127.0.0.1", secure=False)
        Server(app, bound).serve_until_stopped(lambda: print(url.rpartition(":")[2], flush=True))


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 1 else compare(__file__, SIDES, events())
