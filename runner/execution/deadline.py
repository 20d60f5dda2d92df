"""Interrupts a plug-in that runs past its time limit.

One watchdog thread watches all deadlines. It interrupts a thread at its next Python instruction, so a plug-in that
waits inside a C call is interrupted when that call returns. A step with isolation "process" always ends in time.
"""

from __future__ import annotations

import ctypes
import math
import threading
from threading import get_ident
from time import monotonic
from types import TracebackType

#: The longest sleep of the watchdog in seconds. A deadline further away need not wake it.
_LONGEST_SLEEP = 60.0


class StepTimeoutError(Exception):
    """The plug-in did not end within its step's timeout."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"It did not end within {seconds:g} seconds.")


class TimeIsUp(BaseException):
    """Raised by the watchdog. Not an Exception, so that a plug-in's ``except Exception`` does not catch it."""


class Deadline:
    """``with Deadline(seconds):`` interrupts the block after that time, and raises StepTimeoutError."""

    expired = False
    _shields = 0

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> Deadline:
        self.thread = get_ident()
        self.expires = monotonic() + self.seconds
        _watchdog.deadlines[self] = None
        if self.expires < _watchdog.wakes_at:
            _watchdog.wake()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if _watchdog.deadlines.pop(self, _GONE) is not _GONE:
            return
        with _watchdog.lock:  # wait for an interruption in progress
            self.expired = False
        if kind is not TimeIsUp:
            _interrupt(self.thread, None)
        raise StepTimeoutError(self.seconds) from None

    # --- the platform's own work, which must not be cut in half ----------------------------------------------

    def shield(self) -> None:
        """Do not interrupt the block until :meth:`unshield`."""
        with _watchdog.lock:
            self._shields += 1

    def unshield(self) -> None:
        """Allow interruptions again. Raises one that became due in the meantime."""
        with _watchdog.lock:
            self._shields -= 1
        if self.expired and self._shields == 0:
            raise TimeIsUp

    def expire(self) -> None:
        """Interrupt the block. Only the watchdog calls this, and it holds the lock."""
        self.expired = True
        if self._shields == 0:
            _interrupt(self.thread, TimeIsUp)


def _interrupt(thread: int, error: type[BaseException] | None) -> None:
    """Raise ``error`` in another thread; None cancels one that was not raised yet."""
    raised = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


class _Watchdog:
    """The thread that watches all deadlines. It is a daemon, started with the first deadline.

    The block that ends and the watchdog both try to remove a deadline from ``deadlines``; the one that succeeds decides
    whether it was missed. That needs no lock, which matters because every step has a deadline.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._woken = threading.Condition(self.lock)
        self.deadlines: dict[Deadline, None] = {}
        #: Never, before the thread is started.
        self.wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Make it look for the next deadline."""
        with self.lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="plug-in-deadlines", daemon=True)
                self._thread.start()
            self._woken.notify()

    def _run(self) -> None:
        with self.lock:
            while True:
                self._expire_overdue(monotonic())
                self._woken.wait(self.wakes_at - monotonic())

    def _expire_overdue(self, now: float) -> None:
        self.wakes_at = now + _LONGEST_SLEEP
        for deadline in list(self.deadlines):
            if deadline.expires > now:
                self.wakes_at = min(self.wakes_at, deadline.expires)
            elif self.deadlines.pop(deadline, _GONE) is not _GONE:
                deadline.expire()


_GONE = object()
_watchdog = _Watchdog()
