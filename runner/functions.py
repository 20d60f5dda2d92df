"""Azure Functions of the runner: Dataverse's webhook, the queue "dataverse-events", a timer that reconciles, health.

    settings = Once(lambda: settings_beside(root))
    app.register_functions(runner_functions(parts_of(settings, closing), settings))

Each function calls what ``runner serve``, ``work`` and ``reconcile`` call.
Source: https://learn.microsoft.com/azure/azure-functions/functions-reference-python
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import azure.functions as func

from azure_bridge.functions import http_response, not_ready, service_bus_connection
from azure_bridge.hosted_messages import HOLD, HostedMessages
from azure_bridge.once import Once
from azure_bridge.reconcile.cursor import CursorUnreadableError
from azure_bridge.reconcile.fix import Outcome
from azure_bridge.redaction import redact
from runner.service.reconciling import Request, reconciling
from runner.service.wiring import Service, opened
from runner.settings import Settings, SettingsError
from runner.tracing.log_lines import LogLines
from runner.tracing.model import TraceSink
from runner.web.serving.hooks import DataverseHook

#: Notifications whose steps run at the same time in one process.
_STEPS = 16

_log = logging.getLogger(__name__)


def settings_beside(root: Path) -> Settings:
    """The app settings, with the registrations looked for in ``root``: the host's working directory is its own.

    Raises:
      SettingsError: they contradict each other, or name no Dataverse.
    """
    settings = Settings.load()
    if settings.dataverse_url is None:
        raise SettingsError(
            "DATAVERSE_URL is not set, and an embedded Dataverse would be another one in each process the host starts. "
            "Give the address of an environment, or of `runner emulate`."
        )
    return replace(settings, runner_registrations=root / settings.runner_registrations)


def parts_of(settings: Callable[[], Settings], closing: ExitStack, sink: TraceSink | None = None) -> Once[Service]:
    """This process's parts, opened once and for all functions, until ``closing`` is closed.

    They are opened at once, so that the log says at the start what is wrong; whichever function needs them tries again,
    and says it too. An app that raised instead would have no functions: nothing to ask for its health, and nothing a
    build could check.
    """
    parts = Once(lambda: closing.enter_context(opened(settings(), sink or LogLines())))
    try:
        parts()
    except Exception as error:
        _log.error("Not ready: %s", redact(str(error)))
    return parts


def runner_functions(
    parts: Callable[[], Service], settings: Callable[[], Settings], *, hold: timedelta = HOLD
) -> func.Blueprint:
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
        try:
            middleware = await asyncio.to_thread(hook)
        except Exception as error:
            return http_response(not_ready(error))
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
        _reconcile(parts(), settings())

    @blueprint.function_name("healthz")
    @blueprint.route("healthz", trigger_arg_name="request", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def healthz(request: func.HttpRequest) -> func.HttpResponse:
        """Whether the parts could be opened."""
        try:
            parts()
        except Exception as error:
            return http_response(not_ready(error))
        return func.HttpResponse("Ready.")

    return blueprint


def _reconcile(service: Service, settings: Settings) -> None:
    try:
        _reconcile_from(service, settings, resume=True)
    except CursorUnreadableError as error:
        _log.warning("%s", error)
        _reconcile_from(service, settings, resume=False)


def _reconcile_from(service: Service, settings: Settings, *, resume: bool) -> None:
    """The run that was interrupted, or a new one."""
    since = service.resources.clock.now() - settings.reconcile_since
    _, pages = reconciling(Request(since=since, fix=settings.reconcile_fix, resume=resume), settings, service)
    found = fixed = 0
    for progress in pages:
        found, fixed = progress.cursor.found, progress.cursor.fixed
        for outcome in progress.outcomes:
            if outcome.left is not None:
                _log.warning("%s", redact(_in_words(outcome)))
    _log.info("Stripe and CRM compared: %d differences found, %d fixed.", found, fixed)


def _in_words(outcome: Outcome) -> str:
    each = outcome.difference
    row = f"{each.table} {each.row_id}" if each.row_id else "no row"
    left = f" Left: {outcome.left}." if outcome.left else ""
    return f"{each.kind}: {row}, {each.intent_id or 'no intent'}: {each.detail}.{left}"
