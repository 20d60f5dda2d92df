"""The process a plug-in runs in, from the inside: what needs the host it asks of the process that started it."""

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

#: Seconds the process has to end once nobody has any more use for it.
FAREWELL = 5.0


def work(asking: Connection, undoing: Connection, plugin: Plugin, context: PluginContext) -> None:
    """Run the plug-in, tell what became of it, and undo what is asked for, until the other end of both closes."""
    if hasattr(os, "setpgrp"):
        # Ctrl-C is for the parent, and one signal ends whatever the plug-in starts.
        os.setpgrp()
    host = _RemoteHost(asking)
    context.attach(host)
    threading.Thread(target=host.undo_what_is_asked, args=(undoing,), daemon=True).start()
    host.say(packed("started", None))
    host.say(result_of(partial(_changes_of, plugin, context)))
    host.dismissed.wait()


def _changes_of(plugin: Plugin, context: PluginContext) -> tuple[dict[str, Any], ...]:
    """What the plug-in makes of the three collections it may change."""
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
    """The ExecutionHost in the child: every question goes to the parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: A plug-in may have threads.
        self._asking = threading.Lock()
        #: Where the thread that undoes asks, as nobody else may be listened to by then.
        self._undoing = threading.local()
        self._undo: list[Callable[[], object]] = []
        #: Set when the parent has no more use for this process.
        self.dismissed = threading.Event()

    def say(self, what: bytes) -> None:
        with self._asking:
            self._connection.send_bytes(what)

    def _ask(self, kind: str, what: object) -> Any:
        question = packed(kind, what)
        undoing: Connection | None = getattr(self._undoing, "connection", None)
        with nullcontext() if undoing else self._asking:
            connection = undoing or self._connection
            connection.send_bytes(question)
            answer, result = connection.recv()
        if answer == "failed":
            raise result
        return result

    def trace(self, message: str, *arguments: object) -> None:
        self._ask("trace", formatted(message, arguments))

    def organization_service(self, context: PluginContext, user_id: str | None) -> OrganizationService:
        return MessageService(lambda message, parameters: self._ask("perform", (user_id, message, parameters)))

    def service(self, kind: type[T]) -> T:
        provided: T = self._ask("service", kind)
        return provided

    def on_rollback(self, action: Callable[[], object]) -> None:
        self._undo.append(action)
        self._ask("on_rollback", len(self._undo) - 1)

    def undo_what_is_asked(self, connection: Connection) -> None:
        """Until the parent has no more use for this process, which then has a moment to end by itself."""
        self._undoing.connection = connection
        with suppress(EOFError, OSError):
            while True:
                _, number = connection.recv()
                connection.send_bytes(result_of(self._undo[number]))
        self.dismissed.set()
        sleep(FAREWELL)
        os._exit(1)
