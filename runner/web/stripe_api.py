"""The Stripe simulator's API at an address, for ``curl``, Stripe's SDKs and everything else that speaks it.

Source: https://docs.stripe.com/api
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from runner.stripe_simulator import StripeSimulator
from runner.stripe_simulator.api import Answer, ConnectionReset
from runner.web.asgi import BodyTooLong, Disconnected, headers_of, read_body, respond

#: Where every path of the API begins.
PREFIX = "/v1/"
_MAX_BODY = 1024 * 1024


class StripeApi:
    """Answers as Stripe does in test mode, to the simulator's own key."""

    def __init__(self, simulator: StripeSimulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        try:
            body = await read_body(receive, headers, _MAX_BODY)
            answer = await run_in_threadpool(self._answer, scope, headers, body)
        except Disconnected:
            return
        except ConnectionReset:
            await respond(send, 502, b"The answer was lost, as a fault asked for.")
            return
        except BodyTooLong:
            await respond(send, 413, f"The body is longer than {_MAX_BODY} bytes.".encode())
            return
        await respond(send, answer.status, answer.body.encode(), answer.headers)

    def _answer(self, scope: Scope, headers: dict[str, str], body: bytes) -> Answer:
        url = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
        return self._simulator.answer(scope["method"], url, headers, body.decode("utf-8", "replace"))
