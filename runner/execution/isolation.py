"""Runs a plug-in in a process of its own, which is killed when its time is up.

The child has the plug-in and the context's facts; what needs the host (CRM, trace, services) it asks of the parent. It
lives on for as long as somebody may want undone what it did, which a thread of its own does, even of one that hangs.
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
from runner.execution.isolated_process import FAREWELL, work
from runner.execution.process_messages import packed, result_of
from runner.execution.step import Step
from runner.plugin import PluginContext

# A forked child would share locks and database connections with threads it does not have.
_PROCESSES = multiprocessing.get_context("spawn")

#: Seconds a process has to start and import the plug-in, which in a thread is there already.
_START = 60.0
#: Seconds after its time that a process is killed whatever it, or who waits for it, is doing.
_GRACE = 1.0
#: Seconds between looks whether it is alive. Its connection alone would not tell: a process it forked keeps that open.
_LOOK = 0.2


def run_isolated(step: Step, context: PluginContext, host: StepHost) -> None:
    """Run the step's plug-in and take over what it changed in the context's collections.

    Raises:
      StepTimeoutError: it did not end in time; its process is gone once what it registered is undone.
      IsolationError: its process did not start, or died (ProcessDiedError).
      Exception: whatever the plug-in raised.
    """
    worker = _Worker(step, context, host)
    try:
        changed = worker.attend(worker.asking, _START)
    finally:
        if not worker.undoable:
            worker.end()
    _take_over(context, *changed)


class _Worker:
    """The child as the parent sees it. Forgetting it ends the child: its connections close."""

    def __init__(self, step: Step, context: PluginContext, host: StepHost) -> None:
        self.step = step
        self.context = context
        self.host = host
        self.undoable = False
        #: Whether the plug-in has come to an end.
        self.has_answered = False
        self._last_resort = threading.Timer(0, bool)
        self.asking, asks = _PROCESSES.Pipe()
        self.undoing, undoes = _PROCESSES.Pipe()
        self.process: BaseProcess = _PROCESSES.Process(
            target=work, args=(asks, undoes, step.plugin, context), name=step.name, daemon=True
        )
        try:
            self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise IsolationError(
                f"{step.plugin_name} cannot run in a process of its own: {error}. Its class must be importable, its "
                "configuration and the shared variables plain values."
            ) from error
        finally:
            asks.close()
            undoes.close()

    def attend(self, connection: Connection, seconds: float) -> Any:
        """Answer what the child asks there, until it tells its result. Raises what it raised."""
        expires = self._limit(seconds)
        try:
            while (said := self._receive(connection, expires))[0] not in ("done", "failed"):
                if said[0] == "started":
                    expires = self._limit(self.step.timeout)
                else:
                    self._tell(connection, result_of(partial(self._answer, *said)))
        except ProcessDiedError:
            if monotonic() < expires:
                raise
            raise StepTimeoutError(self.step.timeout) from None
        finally:
            self._last_resort.cancel()
        self.has_answered |= connection is self.asking
        if said[0] == "failed":
            raise said[1]
        return said[1]

    def _limit(self, seconds: float) -> float:
        """When the child has to be done. It is killed soon after: who waits for the rest of a message sees no clock."""
        self._last_resort.cancel()
        self._last_resort = threading.Timer(seconds + _GRACE, self.process.kill)
        self._last_resort.daemon = True
        self._last_resort.start()
        return monotonic() + seconds

    def _answer(self, question: str, said: Any) -> object:
        match question:
            case "perform":
                user_id, message, parameters = said
                return self.host.organization_service(self.context, user_id).perform(message, parameters)
            case "service":
                return self.host.service(said)
            case "on_rollback":
                self.undoable = True
                self.host.on_rollback(partial(self.undo, said))
            case "trace":
                self.host.trace(said)
        return None

    def _receive(self, connection: Connection, expires: float) -> tuple[str, Any]:
        while (left := expires - monotonic()) > 0 and not connection.poll(min(left, _LOOK)):
            if not self.process.is_alive() and not connection.poll():
                raise self._gone()
        if left <= 0:
            raise StepTimeoutError(self.step.timeout)
        try:
            said: tuple[str, Any] = connection.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        return said

    def _tell(self, connection: Connection, what: bytes) -> None:
        try:
            connection.send_bytes(what)
        except OSError:
            raise self._gone() from None

    def _gone(self) -> ProcessDiedError:
        self._wait_for_its_end()
        return ProcessDiedError(
            f"The process of {self.step.plugin_name} ended by itself, exit code {self.process.exitcode}."
        )

    def undo(self, number: int) -> None:
        """Run one of the child's ``on_rollback`` actions. They are run last first, so that 0 ends it."""
        try:
            self._tell(self.undoing, packed("undo", number))
            self.attend(self.undoing, self.step.timeout)
        except (StepTimeoutError, ProcessDiedError):
            self.end()
            raise
        finally:
            if number == 0:
                self.end()

    def end(self) -> None:
        """Let it go home; what does not end by itself is killed, and what the plug-in left running there."""
        if self.asking.closed:
            return
        self.asking.close()
        self.undoing.close()
        if self.has_answered:
            self._wait_for_its_end()
        _kill(self.process)

    def _wait_for_its_end(self) -> None:
        expires = monotonic() + FAREWELL
        while self.process.is_alive() and monotonic() < expires:
            wait([self.process.sentinel], _LOOK)


def _kill(process: BaseProcess) -> None:
    """And what it has started."""
    process.kill()
    if hasattr(os, "killpg") and process.pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.join()


def _take_over(context: PluginContext, *collections: dict[str, Any]) -> None:
    """What the child made of the three collections a plug-in may change."""
    ours = (context.input_parameters, context.output_parameters, context.shared_variables)
    for collection, changed in zip(ours, collections, strict=True):
        collection.clear()
        collection.update(changed)
