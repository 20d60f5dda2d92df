"""Whether a notification was caused by one of our own writes, and how long the chain of them is.

Every request we make carries a ``tag``, which Dataverse hands to the steps it sets in motion as the shared variable
of that name. It needs no privilege, unlike bypassing steps, and it survives the way through webhook and queue.
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
    """``depth`` is 1 for what somebody else did. ``written_back_by``: the id of the step whose changes were written."""

    depth: int = 1
    written_back_by: str | None = None

    @classmethod
    def of(cls, context: PluginContext) -> Origin:
        """Where ``context`` comes from. Raises TooDeepError where Dataverse would have stopped the chain."""
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
        return f"runner:{self.depth}" + (f":{self.written_back_by}" if self.written_back_by else "")


def _tag(context: PluginContext) -> str:
    """Asynchronous steps find the request's variables on the parent context."""
    level: PluginContext | None = context
    while level is not None:
        tag = level.shared_variables.get("tag")
        if isinstance(tag, str):
            return tag
        level = level.parent_context
    return ""
