"""Stripe's simulator behind an address, for those who reach Stripe over HTTP."""

from __future__ import annotations

from contextlib import AbstractContextManager

from local_server import Handler, local_server

from runner.stripe_simulator import StripeSimulator


def served_stripe(simulator: StripeSimulator) -> AbstractContextManager[str]:
    """The simulator behind an address, so that its state survives whoever asks it."""
    api = simulator.http_client()

    class Stripe(Handler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            url, posted = f"https://api.stripe.com{self.path}", self.rfile.read(length).decode()
            body, status, told = api.request(self.command.lower(), url, dict(self.headers.items()), posted)
            self.answer(status, body.encode(), told)

        do_GET = do_POST = do_DELETE = serve

    return local_server(Stripe)
