"""Runs a plug-in in a process of its own, which is killed when its time is up.

The child gets the plug-in and the context, and sends requests to the host (CRM, trace, services) to the parent. It
stays alive while its rollback actions may be needed. They run in a thread of their own, even if the plug-in hangs.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any

from runner.execution.deadline import StepTimeoutError
from runner.execution.failures import IsolationError, ProcessDiedError
from runner.execution.host import StepHost
from runner.execution.isolated_process import EXIT_SECONDS, work
from runner.execution.process_messages import packed, result_of
from runner.execution.step import Step
from runner.plugin import PluginContext

# A forked child would share locks and database connections with threads it does not have.
_PROCESSES = multiprocessing.get_context("spawn")

#: Seconds for the process to start and import the plug-in.
_START_SECONDS = 60.0
#: Seconds after the time limit until the process is killed, whatever it or the parent is doing.
_GRACE_SECONDS = 1.0
#: Seconds between checks whether it is alive. Its connection may stay open in a process that it forked.
_POLL_SECONDS = 0.2


def run_isolated(step: Step, context: PluginContext, host: StepHost) -> None:
    """Run the step's plug-in, and apply its changes to the context's collections.

    Raises:
      StepTimeoutError: it did not end in time. Its process ends after the rollback.
      IsolationError: its process could not be started, or died (ProcessDiedError).
      Exception: whatever the plug-in raised.
    """
    worker = _Worker(step, context, host)
    try:
        changed = worker.serve(worker.requests, _START_SECONDS)
    finally:
        if not worker.undoable:
            worker.end()
    _copy_changes(context, *changed)


class _Worker:
    """The child process, as seen by the parent. It ends when this object is deleted, which closes its connections."""

    def __init__(self, step: Step, context: PluginContext, host: StepHost) -> None:
        self.step = step
        self.context = context
        self.host = host
        self.undoable = False
        #: Whether the plug-in has ended.
        self.has_answered = False
        self._killer = threading.Timer(0, bool)
        self.requests, child_requests = _PROCESSES.Pipe()
        self.rollbacks, child_rollbacks = _PROCESSES.Pipe()
        self.process: BaseProcess = _PROCESSES.Process(
            target=work, args=(child_requests, child_rollbacks, step.plugin, context), name=step.name, daemon=True
        )
        try:
            self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise IsolationError(
                f"{step.plugin_name} cannot run in a process of its own: {error}. Its class must be importable, its "
                "configuration and the shared variables plain values."
            ) from error
        finally:
            child_requests.close()
            child_rollbacks.close()

    def serve(self, connection: Connection, seconds: float) -> Any:
        """Answer the child's requests on a connection until it sends its result. Raises the child's exception."""
        expires = self._limit(seconds)
        try:
            while (message := self._receive(connection, expires))[0] not in ("done", "failed"):
                if message[0] == "started":
                    expires = self._limit(self.step.timeout)
                else:
                    self._send(connection, result_of(partial(self._answer, *message)))
        except ProcessDiedError:
            if monotonic() < expires:
                raise
            raise StepTimeoutError(self.step.timeout) from None
        finally:
            self._killer.cancel()
        self.has_answered |= connection is self.requests
        if message[0] == "failed":
            raise message[1]
        return message[1]

    def _limit(self, seconds: float) -> float:
        """Set the time limit. A timer kills the child soon after it, in case the parent blocks on half a message."""
        self._killer.cancel()
        self._killer = threading.Timer(seconds + _GRACE_SECONDS, self.process.kill)
        self._killer.daemon = True
        self._killer.start()
        return monotonic() + seconds

    def _answer(self, kind: str, value: Any) -> object:
        match kind:
            case "perform":
                user_id, message, parameters = value
                return self.host.organization_service(self.context, user_id).perform(message, parameters)
            case "service":
                return self.host.service(value)
            case "on_rollback":
                self.undoable = True
                self.host.on_rollback(partial(self.undo, value))
            case "trace":
                self.host.trace(value)
        return None

    def _receive(self, connection: Connection, expires: float) -> tuple[str, Any]:
        while (left := expires - monotonic()) > 0 and not connection.poll(min(left, _POLL_SECONDS)):
            if not self.process.is_alive() and not connection.poll():
                raise self._died()
        if left <= 0:
            raise StepTimeoutError(self.step.timeout)
        try:
            message: tuple[str, Any] = connection.recv()
        except (EOFError, OSError):
            raise self._died() from None
        return message

    def _send(self, connection: Connection, message: bytes) -> None:
        try:
            connection.send_bytes(message)
        except OSError:
            raise self._died() from None

    def _died(self) -> ProcessDiedError:
        self._wait_for_exit()
        return ProcessDiedError(
            f"The process of {self.step.plugin_name} ended by itself, exit code {self.process.exitcode}."
        )

    def undo(self, number: int) -> None:
        """Run one of the child's ``on_rollback`` actions. Action 0, the last to run, also ends the child."""
        try:
            self._send(self.rollbacks, packed("undo", number))
            self.serve(self.rollbacks, self.step.timeout)
        except (StepTimeoutError, ProcessDiedError):
            self.end()
            raise
        finally:
            if number == 0:
                self.end()

    def end(self) -> None:
        """Let the child exit, then kill it, if it has not, with all processes that the plug-in started."""
        if self.requests.closed:
            return
        self.requests.close()
        self.rollbacks.close()
        if self.has_answered:
            self._wait_for_exit()
        _kill(self.process)

    def _wait_for_exit(self) -> None:
        expires = monotonic() + EXIT_SECONDS
        while self.process.is_alive() and monotonic() < expires:
            wait([self.process.sentinel], _POLL_SECONDS)


def _kill(process: BaseProcess) -> None:
    """Kill the process and those it has started."""
    process.kill()
    if hasattr(os, "killpg") and process.pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.join()


def _copy_changes(context: PluginContext, *collections: dict[str, Any]) -> None:
    """Copy the child's changes of the three collections that a plug-in may change."""
    ours = (context.input_parameters, context.output_parameters, context.shared_variables)
    for collection, changed in zip(ours, collections, strict=True):
        collection.clear()
        collection.update(changed)
