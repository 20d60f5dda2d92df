"""Runs a plug-in inside its own process, whose host sends every request to the parent process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from multiprocessing.connection import Connection
from time import sleep
from typing import Any, TypeVar

from dataverse_client.types import OrganizationService
from runner.execution.host import formatted
from runner.execution.message_service import MessageService
from runner.execution.process_messages import packed, result_of
from runner.execution.tracebacks import plugin_traceback
from runner.plugin import Plugin, PluginContext

T = TypeVar("T")

#: Seconds for the process to exit after the parent is done with it.
EXIT_SECONDS = 5.0


def work(requests: Connection, rollbacks: Connection, plugin: Plugin, context: PluginContext) -> None:
    """Run the plug-in, send its result, and run rollback actions until the parent closes the connections."""
    if hasattr(os, "setpgrp"):
        # Ctrl-C then reaches the parent only, and one signal ends all processes the plug-in starts.
        os.setpgrp()
    host = _RemoteHost(requests)
    context.attach(host)
    threading.Thread(target=host.run_rollbacks, args=(rollbacks,), daemon=True).start()
    host.send(packed("started", None))
    host.send(result_of(partial(_changes_of, plugin, context)))
    host.parent_done.wait()


def _changes_of(plugin: Plugin, context: PluginContext) -> tuple[dict[str, Any], ...]:
    """Run the plug-in, and return the three collections that it may change."""
    try:
        _execute(plugin, context)
    except BaseException as error:
        error.add_note(f"Raised in a process of its own:\n{plugin_traceback(error)}")
        raise
    return context.input_parameters, context.output_parameters, context.shared_variables


def _execute(plugin: Plugin, context: PluginContext) -> None:
    async def finish() -> None:
        if pending is not None:
            await pending

    pending = plugin.execute(context)
    if pending is not None:
        asyncio.run(finish())


class _RemoteHost:
    """The ExecutionHost in the child, which sends every request to the parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: Needed because a plug-in may have threads.
        self._lock = threading.Lock()
        #: Holds the connection of the rollback thread; by then the parent may no longer read the other one.
        self._rollback_thread = threading.local()
        self._undo: list[Callable[[], object]] = []
        #: Set when the parent is done with this process.
        self.parent_done = threading.Event()

    def send(self, message: bytes) -> None:
        with self._lock:
            self._connection.send_bytes(message)

    def _call(self, kind: str, value: object) -> Any:
        request = packed(kind, value)
        own_connection: Connection | None = getattr(self._rollback_thread, "connection", None)
        with nullcontext() if own_connection else self._lock:
            connection = own_connection or self._connection
            connection.send_bytes(request)
            answer, result = connection.recv()
        if answer == "failed":
            raise result
        return result

    def trace(self, message: str, *arguments: object) -> None:
        self._call("trace", formatted(message, arguments))

    def organization_service(self, context: PluginContext, user_id: str | None) -> OrganizationService:
        return MessageService(lambda message, parameters: self._call("perform", (user_id, message, parameters)))

    def service(self, kind: type[T]) -> T:
        provided: T = self._call("service", kind)
        return provided

    def on_rollback(self, action: Callable[[], object]) -> None:
        self._undo.append(action)
        self._call("on_rollback", len(self._undo) - 1)

    def run_rollbacks(self, connection: Connection) -> None:
        """Run the actions that the parent asks for until it closes the connection; then exit, if need be by force."""
        self._rollback_thread.connection = connection
        with suppress(EOFError, OSError):
            while True:
                _, number = connection.recv()
                connection.send_bytes(result_of(self._undo[number]))
        self.parent_done.set()
        sleep(EXIT_SECONDS)
        os._exit(1)
