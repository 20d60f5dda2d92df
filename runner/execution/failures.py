"""How a plug-in can fail, other than by an exception of its own kind."""

from __future__ import annotations

import asyncio

from runner.execution.host import text_of

#: Neither is an Exception: they would pass whoever answers for the plug-in, and end the thread that runs it.
NOT_FOR_PLUGINS = (SystemExit, asyncio.CancelledError)


def not_for_plugins(error: BaseException) -> Exception:
    """What is answered in place of such an exception."""
    return RuntimeError(f"It raised {type(error).__name__}, which is not for a plug-in to raise: {text_of(error)}")


class IsolationError(Exception):
    """The plug-in's process could not be started or understood. The message says why, as far as it is known."""


class ProcessDiedError(IsolationError):
    """The plug-in's process ended without an answer."""
