"""The application of ``runner serve``, made of the parts of :mod:`runner.service`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from azure_bridge.queues.contract import QueueError
from azure_bridge.queues.embedded import EmbeddedQueue
from runner.service.wiring import Service
from runner.settings import DATAVERSE_HOOK, STRIPE_HOOK
from runner.web.dataverse.host import application
from runner.web.dataverse.start_page import Facts
from runner.web.serving.hooks import DataverseHook, StripeHook
from runner.web.serving.metrics import CONTENT_TYPE, Metrics
from runner.web.stripe_api import PREFIX as STRIPE_API
from runner.web.stripe_api import StripeApi


class ServeApp:
    """The hooks take the short way; health and figures are pages; the rest is the embedded Dataverse's and Stripe's."""

    def __init__(self, service: Service, metrics: Metrics, workers_alive: Callable[[], bool]) -> None:
        self._closing = ExitStack()
        # Service Bus would hand over every message to be counted, to whoever asks. Azure Monitor has its figures.
        metrics.watch(queue for queue in (service.events, service.payments) if isinstance(queue, EmbeddedQueue))
        dataverse_hook = DataverseHook(service.intake, service.credentials)
        stripe_hook = StripeHook(service.receiver, service.payments, service.observer)
        self._hooks: dict[str, ASGIApp] = {DATAVERSE_HOOK: dataverse_hook, STRIPE_HOOK: stripe_hook}
        self._pages = _pages(service, metrics, workers_alive)
        self._elsewhere: ASGIApp = self._pages
        for hook in (dataverse_hook, stripe_hook):
            self._closing.callback(hook.close)
        if service.emulator is not None:
            dataverse = application(service.emulator, Facts(service.stripe.title, None, False))
            self._closing.callback(dataverse.close)
            self._elsewhere = dataverse
        self._stripe = None if service.stripe.simulator is None else StripeApi(service.stripe.simulator)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        app = self._hooks.get(path) or self._slow_app(path)
        await app(scope, receive, send)

    def _slow_app(self, path: str) -> ASGIApp:
        if path in _PAGES:
            return self._pages
        if self._stripe is not None and path.startswith(STRIPE_API):
            return self._stripe
        return self._elsewhere

    def close(self) -> None:
        """Let the requests being answered come to their end."""
        self._closing.close()


_PAGES = frozenset({"/healthz", "/readyz", "/metrics"})


def _pages(service: Service, metrics: Metrics, workers_alive: Callable[[], bool]) -> Starlette:
    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        problems = await run_in_threadpool(_problems, service, workers_alive)
        return JSONResponse({"status": "not ready" if problems else "ready", **problems}, 503 if problems else 200)

    async def figures(_: Request) -> Response:
        return Response(await run_in_threadpool(metrics.exposition), media_type=CONTENT_TYPE)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", figures)])


def _problems(service: Service, workers_alive: Callable[[], bool]) -> dict[str, str]:
    """What keeps this process from doing its part. Dataverse or Stripe being away does not: the queues wait."""
    problems = {} if workers_alive() else {"workers": "A worker has ended: see the log, and start again."}
    for queue in (service.events, service.payments):
        try:
            queue.peek(1)
        except QueueError as error:
            problems[queue.name] = str(error)
    return problems
