"""Interrupts a plug-in that runs past its time limit.

One watchdog thread watches all deadlines and interrupts the thread that runs past its own, at the next Python
instruction: a plug-in that waits inside a C call is interrupted when that call returns. A step with isolation
"process" is ended whatever it does.
"""

from __future__ import annotations

import ctypes
import math
import threading
from threading import get_ident
from time import monotonic
from types import TracebackType

#: Seconds the watchdog sleeps at most, so that a deadline further away need not wake it to be noticed.
_LONGEST_SLEEP = 60.0


class StepTimeoutError(Exception):
    """A plug-in did not end within its step's timeout."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"It did not end within {seconds:g} seconds.")


class TimeIsUp(BaseException):
    """What the watchdog raises. Not an Exception, so that a plug-in's own handlers let it pass."""


class Deadline:
    """``with Deadline(seconds):`` raises StepTimeoutError when the block takes longer, even one that never ends."""

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
        with _watchdog.lock:  # so that the interruption is over, one way or the other
            self.expired = False
        if kind is not TimeIsUp:
            _interrupt(self.thread, None)
        raise StepTimeoutError(self.seconds) from None

    # --- the platform's own work, which must not be cut in half ----------------------------------------------

    def shield(self) -> None:
        """From here to :meth:`unshield` the block is not interrupted."""
        with _watchdog.lock:
            self._shields += 1

    def unshield(self) -> None:
        """Raises what came due in the meantime."""
        with _watchdog.lock:
            self._shields -= 1
        if self.expired and self._shields == 0:
            raise TimeIsUp

    def expire(self) -> None:
        """The watchdog's, which holds the lock."""
        self.expired = True
        if self._shields == 0:
            _interrupt(self.thread, TimeIsUp)


def _interrupt(thread: int, error: type[BaseException] | None) -> None:
    """Make ``error`` rise in another thread; None takes back one that has not risen yet."""
    raised = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


class _Watchdog:
    """Started with the first deadline; a daemon, so that it keeps no program alive.

    A deadline belongs to whoever takes it out of ``deadlines``: the block that ended, or the watchdog. That takes no
    lock, as every step has a deadline and next to none is missed.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._woken = threading.Condition(self.lock)
        self.deadlines: dict[Deadline, None] = {}
        #: Not at all, before it is started.
        self.wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have it look when the next deadline is."""
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
