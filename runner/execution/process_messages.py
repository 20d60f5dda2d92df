"""The messages between a plug-in's process and its parent: a kind, and plain values or an exception."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import FunctionType
from typing import Any

from runner.execution.failures import IsolationError, not_for_plugins
from runner.execution.host import text_of
from runner.plugin import InvalidPluginExecutionException


def packed(kind: str, value: object) -> bytes:
    """Pickle a message. Raises IsolationError when its value cannot be pickled."""
    try:
        return pickle.dumps((kind, value))
    except Exception as error:
        raise IsolationError(f"It cannot be sent to another process: {error}. Use plain values.") from error


def result_of(work: Callable[[], object]) -> bytes:
    """Call ``work``, and pack its result or its exception."""
    try:
        return packed("done", work())
    except Exception as error:
        return packed("failed", _portable(error))
    except BaseException as error:
        return packed("failed", _portable(not_for_plugins(error)))


def _portable(error: Exception) -> _Raised:
    """The exception, or one with the same text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(_Raised(error)))  # noqa: S301 - our own bytes
    except Exception:
        return _Raised(_stand_in_for(error))
    return _Raised(error)


def _stand_in_for(error: Exception) -> Exception:
    stand_in: Exception = IsolationError(f"{type(error).__name__}: {text_of(error)}")
    if isinstance(error, InvalidPluginExecutionException):
        message = text_of(error.message)
        stand_in = InvalidPluginExecutionException(message, status=error.status, error_code=error.error_code)
    for note in getattr(error, "__notes__", ()):
        stand_in.add_note(note)
    return stand_in


class _Raised:
    """Pickles an exception so that the other process gets the same one.

    An initializer written in Python is not called again, because its parameters may differ from ``args``.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __reduce__(self) -> str | tuple[Any, ...]:
        error = self._error
        if isinstance(type(error).__init__, FunctionType):
            return _rebuilt, (type(error), error.args, vars(error))
        return error.__reduce__()


def _rebuilt(kind: type[Exception], arguments: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *arguments)
    vars(error).update(state)
    return error
