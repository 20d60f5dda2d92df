"""Finds out whether a notification was caused by one of our own writes, and how many of them led to it.

Every request we make carries a ``tag``, which Dataverse passes to the steps it causes as a shared variable. Unlike
bypassing steps it needs no privilege, and it is kept in notifications by webhook and by queue.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/bypass-custom-business-logic
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runner.intake.errors import TooDeepError
from runner.plugin import PluginContext

#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/understand-the-data-context#depth-property
MAX_DEPTH = 8

_TAG = re.compile(r"runner:(\d{1,4})(?::([0-9a-f-]{36}))?\Z")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a notification comes from.

    ``depth`` is 1 for an operation that we did not cause. ``written_back_by`` is the id of the step whose changes we
    wrote back, if that caused the notification.
    """

    depth: int = 1
    written_back_by: str | None = None

    @classmethod
    def of(cls, context: PluginContext) -> Origin:
        """The origin of ``context``. Raises TooDeepError at the depth where Dataverse stops a chain of calls."""
        match = _TAG.match(_tag(context))
        depth = max(context.depth, int(match[1]) if match else 1)
        if depth > MAX_DEPTH:
            raise TooDeepError(
                f"{context.message_name} of {context.primary_entity_name} {context.primary_entity_id} is call {depth} "
                "of a chain: a step's changes set off the step that makes them. Have it change nothing when nothing "
                "is to be changed, or give it filtering attributes."
            )
        return cls(depth, match[2] if match else None)

    def tag(self) -> str:
        """The tag for requests that are made on this origin's behalf."""
        return f"runner:{self.depth}" + (f":{self.written_back_by}" if self.written_back_by else "")


def _tag(context: PluginContext) -> str:
    """The tag in the shared variables; asynchronous steps have those of the request on the parent context."""
    level: PluginContext | None = context
    while level is not None:
        tag = level.shared_variables.get("tag")
        if isinstance(tag, str):
            return tag
        level = level.parent_context
    return ""
