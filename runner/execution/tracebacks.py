"""What a plug-in's error says: in one line, and as a traceback that starts at the plug-in's own code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from itertools import dropwhile
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException, walk_tb

from runner.execution.host import text_of
from runner.plugin import InvalidPluginExecutionException

_HERE = str(Path(__file__).parent)
#: Code whose frames come before a plug-in's, plain or ``async def``, in either process.
_BEFORE_PLUGIN = (_HERE, str(Path(asyncio.__file__).parent), str(Path(concurrent.futures.__file__).parent))

#: The same, when the error was raised again by whoever had the plug-in run.
_NOT_OF_PLUGIN = (f"{Path(__file__).parents[1]}{os.sep}", *_BEFORE_PLUGIN)

_PLATFORM = "runner.emulator."
#: Whose errors are worded for people.
_OURS = ("runner.", "dataverse_client.", "azure_bridge.")


def words_of(error: BaseException) -> str:
    """An error in one line. What Python or a library raised says little without its class and the plug-in's line."""
    words, name = text_of(error), type(error).__name__
    if isinstance(error, InvalidPluginExecutionException) or type(error).__module__.startswith(_OURS):
        return words or name
    return f"{name}: {words}{_place(error)}" if words else f"{name}{_place(error)}"


def _place(error: BaseException) -> str:
    """`` (payments.py:12)``, the last line of the plug-in's own package; empty when it is unknown."""
    lines = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    of_plugin = list(dropwhile(lambda each: each[0].startswith(_NOT_OF_PLUGIN), lines))
    home = {Path(file).parent for file, _ in of_plugin[:1]}
    last = next(((Path(file).name, line) for file, line in reversed(of_plugin) if Path(file).parent in home), None)
    return f" ({last[0]}:{last[1]})" if last else ""


def plugin_traceback(error: BaseException) -> str:
    """Format the traceback with its causes, without the frames before the plug-in's own."""
    summary = TracebackException.from_exception(error)
    frames = list(dropwhile(_is_before_plugin, summary.stack))
    summary.stack = StackSummary.from_list(frames)
    _drop_platform_causes(summary)
    return "".join(summary.format() if frames else summary.format_exception_only())


def _is_before_plugin(frame: FrameSummary) -> bool:
    return frame.filename.startswith(_BEFORE_PLUGIN)


def _drop_platform_causes(summary: TracebackException) -> None:
    """Remove the causes of the platform's errors: they are internal, or belong to another plug-in with its own log."""
    link: TracebackException | None = summary
    while link is not None:
        if link.exc_type is not None and link.exc_type.__module__.startswith(_PLATFORM):
            link.__cause__ = link.__context__ = None
        link = link.__cause__ or link.__context__
