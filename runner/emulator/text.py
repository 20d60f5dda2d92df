"""Text as Dataverse compares it: without regard to case. SQLite does so for ASCII; these are for the rest."""

from __future__ import annotations

import re
from functools import lru_cache


def fold(text: str | None) -> str | None:
    """What SQLite's NOCASE does for ASCII, for every letter."""
    return text.casefold() if text is not None else None


def matches(pattern: str, text: str | None) -> bool | None:
    """SQL Server's LIKE: ``%``, ``_``, ``[a-f]`` and ``[^a-f]``, without regard to case."""
    return None if text is None else _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\[\^?[^\]]+\]|.", pattern, re.DOTALL)
    return re.compile("".join(map(_part, parts)), re.IGNORECASE | re.DOTALL)


def _part(part: str) -> str:
    if part == "%":
        return ".*"
    if part == "_":
        return "."
    if len(part) == 1:
        return re.escape(part)
    negated = part[1] == "^"
    members = part[2:-1] if negated else part[1:-1]
    if not members:
        return re.escape(part)
    return f"[{'^' if negated else ''}{_members(members)}]"


def _members(members: str) -> str:
    """``a-f`` stays a range when it is one; everything else means itself."""
    ranges = re.findall(r".-.|.", members, re.DOTALL)
    return "".join(
        f"{re.escape(r[0])}-{re.escape(r[2])}" if len(r) == 3 and r[0] <= r[2] else re.escape(r) for r in ranges
    )
