"""Waits until Ctrl-C or a signal ends the program."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress


def until_stopped(wait: Callable[[], object]) -> None:
    """Run ``wait`` until it returns, or Ctrl-C or SIGTERM come: both are a wish, not an error."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            wait()
    finally:
        signal.signal(signal.SIGTERM, previous)
