"""The errors of a plug-in's process, and exceptions that a plug-in should not raise."""

from __future__ import annotations

import asyncio

from runner.execution.host import text_of

#: These are not Exceptions: they would end the thread that runs the plug-in.
NOT_FOR_PLUGINS = (SystemExit, asyncio.CancelledError)


def not_for_plugins(error: BaseException) -> Exception:
    """The error to report instead of such an exception."""
    return RuntimeError(f"It raised {type(error).__name__}, which a plug-in must not raise: {text_of(error)}")


class IsolationError(Exception):
    """The plug-in's process could not be started, or a value could not be sent to or from it."""


class ProcessDiedError(IsolationError):
    """The plug-in's process ended without a result."""
