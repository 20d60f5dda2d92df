"""What the relative conditions of a query refer to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: The language of every user: English.
LANGUAGE = 1033


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """The time of a query and its user, which conditions such as ``today`` and ``eq-userid`` refer to."""

    now: datetime
    user_id: str
    business_unit_id: str
    language: int = LANGUAGE
