"""Compares text as Dataverse does, ignoring case, accents and spaces at the end.

Texts that are equal fold to the same text, so SQLite compares, sorts and indexes what ``fold`` returns.
Source: https://learn.microsoft.com/power-platform/admin/language-collations
Source: https://learn.microsoft.com/sql/t-sql/language-elements/string-comparison-assignment
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import overload

_FOLDED_KEPT = 4096


@overload
def fold(text: str) -> str: ...
@overload
def fold(text: None) -> None: ...
def fold(text: str | None) -> str | None:
    """A form of the text that is equal for texts that Dataverse considers equal."""
    if text is None:
        return None
    return text.rstrip(" ").lower() if text.isascii() else _folded(text)


@lru_cache(maxsize=_FOLDED_KEPT)
def _folded(text: str) -> str:
    return _without_accents(text.rstrip(" ").casefold())


def _without_accents(text: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFD", text) if not unicodedata.combining(part))


def folded(sql: str) -> str:
    """The SQL of a text's folded form, from the SQL of the text."""
    return f"fold({sql})"


def matches(pattern: str, text: str | None) -> bool | None:
    """SQL Server's LIKE: ``%``, ``_``, ``[a-f]`` and ``[^a-f]``, ignoring case and accents."""
    if text is None:
        return None
    return _compiled(pattern).fullmatch(text if text.isascii() else _without_accents(text)) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\[\^?[^\]]+\]|.", _without_accents(pattern), re.DOTALL)
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
    """The members of ``[...]``: ``a-f`` is a range, and other characters are literal."""
    ranges = re.findall(r".-.|.", members, re.DOTALL)
    return "".join(
        f"{re.escape(r[0])}-{re.escape(r[2])}" if len(r) == 3 and r[0] <= r[2] else re.escape(r) for r in ranges
    )
