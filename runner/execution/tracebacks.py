"""The traceback of a plug-in's error, starting at the plug-in's own code."""

from __future__ import annotations

import asyncio
import concurrent.futures
from itertools import dropwhile
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException

_HERE = str(Path(__file__).parent)
#: The frames of these lead to a plug-in, plain or ``async def``, in whichever process.
_LEAD_THERE = (_HERE, str(Path(asyncio.__file__).parent), str(Path(concurrent.futures.__file__).parent))

_PLATFORM = "runner.emulator."


def plugin_traceback(error: BaseException) -> str:
    """The traceback without the frames that led to the plug-in, and with what caused it."""
    told = TracebackException.from_exception(error)
    frames = list(dropwhile(_leads_there, told.stack))
    told.stack = StackSummary.from_list(frames)
    _end_at_the_platform(told)
    return "".join(told.format() if frames else told.format_exception_only())


def _leads_there(frame: FrameSummary) -> bool:
    return frame.filename.startswith(_LEAD_THERE)


def _end_at_the_platform(told: TracebackException) -> None:
    """What made the platform refuse is its own affair, or that of another plug-in, which is logged for itself."""
    link: TracebackException | None = told
    while link is not None:
        if link.exc_type is not None and link.exc_type.__module__.startswith(_PLATFORM):
            link.__cause__ = link.__context__ = None
        link = link.__cause__ or link.__context__
