"""The traceback of a plug-in's error, starting at the plug-in's own code."""

from __future__ import annotations

import asyncio
import concurrent.futures
from itertools import dropwhile
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException

_HERE = str(Path(__file__).parent)
#: Code whose frames come before a plug-in's, plain or ``async def``, in either process.
_BEFORE_PLUGIN = (_HERE, str(Path(asyncio.__file__).parent), str(Path(concurrent.futures.__file__).parent))

_PLATFORM = "runner.emulator."


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
