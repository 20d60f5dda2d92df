"""Runs a plug-in in a process of its own, which is killed when its time is up.

The child has the plug-in and the context's facts; what needs the host (CRM, trace, services, undoing) it asks of the
parent. It lives on for as long as somebody may want undone what it did.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any, TypeVar

from dataverse_client.types import OrganizationService
from runner.execution.deadline import StepTimeoutError
from runner.execution.host import StepHost, formatted, text_of
from runner.execution.message_service import MessageService
from runner.execution.step import Step
from runner.execution.tracebacks import plugin_traceback
from runner.plugin import Plugin, PluginContext

T = TypeVar("T")

# A forked child would share locks and database connections with threads it does not have.
_PROCESSES = multiprocessing.get_context("spawn")

#: Seconds a process has to end once its plug-in has.
_FAREWELL = 5.0


class IsolationError(Exception):
    """The plug-in's process could not be started, or died. The message says why, as far as it is known."""


def run_isolated(step: Step, context: PluginContext, host: StepHost) -> None:
    """Run the step's plug-in and take over what it changed in the context's collections.

    Raises:
      StepTimeoutError: it did not end in time; its process is gone.
      IsolationError: its process did not start, or died.
      Exception: whatever the plug-in raised.
    """
    worker = _Worker(step, context)
    try:
        _serve(worker, context, host, monotonic() + step.timeout)
    except BaseException:
        worker.kill()
        raise
    if not worker.undoable:
        worker.end()


class _Worker:
    """The child as the parent sees it. Forgetting it ends the child: its connection closes."""

    def __init__(self, step: Step, context: PluginContext) -> None:
        self.step = step
        self.undoable = False
        self.connection, theirs = _PROCESSES.Pipe()
        self.process: BaseProcess = _PROCESSES.Process(
            target=_work, args=(theirs, step.plugin, context), name=step.name, daemon=True
        )
        try:
            self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise IsolationError(
                f"{step.plugin_name} cannot run in a process of its own: {error}. Its class must be importable, its "
                "configuration and the shared variables plain values."
            ) from error
        finally:
            theirs.close()

    def receive(self, expires: float) -> tuple[str, Any]:
        """What the child says next."""
        if not self.connection.poll(max(expires - monotonic(), 0)):
            raise StepTimeoutError(self.step.timeout)
        try:
            said: tuple[str, Any] = self.connection.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            raise IsolationError(f"The process of {self.step.plugin_name} ended by itself, exit code {code}.") from None
        return said

    def undo(self, number: int) -> None:
        """Run one of the child's ``on_rollback`` actions."""
        self.connection.send(number)
        kind, result = self.receive(monotonic() + self.step.timeout)
        if kind == "failed":
            raise result

    def end(self) -> None:
        """Let it go home; what the plug-in left running there is not waited for."""
        self.connection.close()
        self.process.join(_FAREWELL)
        self.process.kill()
        self.process.join()

    def kill(self) -> None:
        self.process.kill()
        self.end()


def _serve(worker: _Worker, context: PluginContext, host: StepHost, expires: float) -> None:
    """Answer the child until it is done."""

    def perform(asked: tuple[str | None, str, Mapping[str, Any]]) -> Mapping[str, Any]:
        user_id, message, parameters = asked
        return host.organization_service(context, user_id).perform(message, parameters)

    def register(number: int) -> None:
        worker.undoable = True
        host.on_rollback(partial(worker.undo, number))

    answers: dict[str, Callable[[Any], object]] = {
        "perform": perform,
        "service": host.service,
        "trace": host.trace,
        "on_rollback": register,
    }
    while True:
        kind, said = worker.receive(expires)
        if kind == "done":
            _take_over(context, *said)
            return
        if kind == "failed":
            raise said
        worker.connection.send(_result_of(partial(answers[kind], said)))


def _take_over(context: PluginContext, *collections: dict[str, Any]) -> None:
    """What the child made of the three collections a plug-in may change."""
    ours = (context.input_parameters, context.output_parameters, context.shared_variables)
    for collection, changed in zip(ours, collections, strict=True):
        collection.clear()
        collection.update(changed)


# --- in the child ---------------------------------------------------------------------------------------------


def _work(connection: Connection, plugin: Plugin, context: PluginContext) -> None:
    host = _RemoteHost(connection)
    context.attach(host)
    connection.send(_result_of(partial(_changes_of, plugin, context)))
    host.undo_what_is_asked()


def _changes_of(plugin: Plugin, context: PluginContext) -> tuple[dict[str, Any], ...]:
    """What the plug-in makes of the three collections it may change."""
    try:
        _execute(plugin, context)
    except Exception as error:
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
        self._undo: list[Callable[[], object]] = []

    def _ask(self, kind: str, what: object) -> Any:
        with self._asking:
            self._connection.send((kind, what))
            answer, result = self._connection.recv()
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

    def undo_what_is_asked(self) -> None:
        """Until the parent has no more use for it."""
        while self._undo:
            try:
                number = self._connection.recv()
            except EOFError:
                return
            self._connection.send(_result_of(self._undo[number]))


# --- in both --------------------------------------------------------------------------------------------------


def _result_of(work: Callable[[], object]) -> tuple[str, Any]:
    """What it answered or raised, in a form that the other side can read."""
    try:
        result = work()
    except Exception as error:
        return "failed", _portable(error)
    try:
        pickle.dumps(result)
    except Exception as error:
        return "failed", IsolationError(f"It cannot be told to another process: {error}. Use plain values.")
    return "done", result


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:
        return IsolationError(f"{type(error).__name__}: {text_of(error)}")
    return error
