"""Stripe's simulator behind an address, for those who reach Stripe over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from runner.stripe_simulator import StripeSimulator


@contextmanager
def served_stripe(simulator: StripeSimulator) -> Iterator[str]:
    """The simulator behind an address, so that its state survives whoever asks it."""
    api = simulator.http_client()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = dict(self.headers.items())
            url = f"https://api.stripe.com{self.path}"
            body, status, told = api.request(self.command.lower(), url, headers, self.rfile.read(length).decode())
            content = body.encode()
            self.send_response(status)
            for name, value in told.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that was killed is none."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
