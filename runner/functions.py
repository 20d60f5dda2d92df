"""Azure Functions of the runner: Dataverse's webhook, the queue "dataverse-events", a timer that reconciles, health.

    parts = parts_of(settings, closing)
    app.register_functions(runner_functions(parts, settings))

Each function calls what ``runner serve``, ``work`` and ``reconcile`` call.
Source: https://learn.microsoft.com/azure/azure-functions/functions-reference-python
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import azure.functions as func

from azure_bridge.functions import service_bus_connection
from azure_bridge.hosted_messages import HOLD, HostedMessages
from azure_bridge.once import Once
from azure_bridge.reconcile_cursor import CursorUnreadableError
from azure_bridge.reconcile_fix import Outcome
from azure_bridge.reconcile_run import Progress
from azure_bridge.redaction import redact
from azure_bridge.secrets import SecretSourceError
from runner.service.reconciling import Request, reconciling
from runner.service.wiring import Service, opened
from runner.settings import Settings, SettingsError
from runner.tracing.log_lines import LogLines
from runner.tracing.model import TraceSink
from runner.web.serving.hooks import DataverseHook

#: Notifications whose steps run at the same time in one process.
_STEPS = 16

_log = logging.getLogger(__name__)


def parts_of(settings: Settings, closing: ExitStack, sink: TraceSink | None = None) -> Once[Service]:
    """This process's parts, opened once and for all functions, until ``closing`` is closed.

    What is configured wrongly keeps the app from starting, so that no trigger takes a message it could only give back.
    A key vault that is away is asked again by the first function that needs it.

    Raises:
      SettingsError, RegistrationError, PluginLoadError, SecretNotFoundError: what is configured cannot run.
    """
    if settings.dataverse_url is None:
        raise SettingsError(
            "DATAVERSE_URL is not set, and an embedded Dataverse would be another one in each process the host starts. "
            "Give the address of an environment, or of `runner emulate`."
        )
    parts = Once(lambda: closing.enter_context(opened(settings, sink or LogLines())))
    try:
        parts()
    except SecretSourceError as error:
        _log.warning("Not ready yet: %s", redact(str(error)))
    return parts


def runner_functions(parts: Callable[[], Service], settings: Settings, *, hold: timedelta = HOLD) -> func.Blueprint:
    """The runner's functions. ``parts`` is first called when one of them is; ``hold`` is :class:`HostedMessages`'s."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    hook = Once(lambda: func.AsgiMiddleware(DataverseHook(parts().intake, parts().credentials)))  # type: ignore[no-untyped-call]
    hosted = HostedMessages(
        lambda: parts().events, lambda message: parts().dispatcher.handle(message), at_once=_STEPS, hold=hold
    )

    @blueprint.function_name("dataverse_webhook")
    @blueprint.route(
        "dataverse/webhook", trigger_arg_name="request", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
    )
    async def dataverse_webhook(request: func.HttpRequest) -> func.HttpResponse:
        """Dataverse shows what its endpoint is registered with; the host's own keys would be a fourth way."""
        middleware = await asyncio.to_thread(hook)
        response: func.HttpResponse = await middleware.handle_async(request)
        return response

    @blueprint.function_name("dataverse_events")
    @blueprint.service_bus_queue_trigger(
        arg_name="message",
        connection=service_bus_connection(),
        queue_name="%DATAVERSE_EVENTS_QUEUE%",
        data_type=func.DataType.BINARY,
        cardinality=func.Cardinality.ONE,
    )
    async def dataverse_events(message: func.ServiceBusMessage) -> None:
        """The steps a notification is for."""
        await hosted.work_on(message)

    @blueprint.function_name("reconcile")
    @blueprint.timer_trigger("timer", "%RECONCILE_SCHEDULE%", run_on_startup=False, use_monitor=True)
    def reconcile(timer: func.TimerRequest) -> None:
        """Stripe and CRM compared, on one instance at a time."""
        _reconcile(parts(), settings)

    @blueprint.function_name("healthz")
    @blueprint.route("healthz", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def healthz(request: func.HttpRequest) -> func.HttpResponse:
        """Whether the parts could be opened. Why they could not is for the log, not for the world."""
        try:
            parts()
        except Exception:
            _log.exception("Not ready")
            return func.HttpResponse("Not ready: see the log.", status_code=503)
        return func.HttpResponse("Ready.")

    return blueprint


def _reconcile(service: Service, settings: Settings) -> None:
    found = fixed = 0
    for progress in _pages(service, settings):
        found, fixed = progress.cursor.found, progress.cursor.fixed
        for outcome in progress.outcomes:
            if outcome.left is not None:
                _log.warning("%s", redact(_told(outcome)))
    _log.info("Stripe and CRM compared: %d differences found, %d fixed.", found, fixed)


def _pages(service: Service, settings: Settings) -> Iterator[Progress]:
    """Those of the run that was interrupted, or of a new one."""
    since = service.around.clock.now() - settings.reconcile_since
    request = Request(since=since, fix=settings.reconcile_fix, resume=True)
    try:
        _, pages = reconciling(request, settings, service)
    except CursorUnreadableError as error:
        _log.warning("%s", error)
        _, pages = reconciling(replace(request, resume=False), settings, service)
    return pages


def _told(outcome: Outcome) -> str:
    each = outcome.difference
    row = f"{each.table} {each.row_id}" if each.row_id else "no row"
    left = f" Left: {outcome.left}." if outcome.left else ""
    return f"{each.kind}: {row}, {each.intent_id or 'no intent'}: {each.detail}.{left}"
