"""Waits until Ctrl-C or a signal ends the program."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

#: What a shell calls a process that ended by SIGINT.
_INTERRUPTED = 130


def leave_at_once() -> NoReturn:
    """End the process without waiting for its threads, which Python would."""
    sys.stdout.flush()
    os._exit(_INTERRUPTED)


def until_stopped(wait: Callable[[], object]) -> None:
    """Run ``wait`` until it returns, or Ctrl-C or SIGTERM come: both are a wish, not an error."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            wait()
    finally:
        signal.signal(signal.SIGTERM, previous)
