"""Whether to write in colour, where click cannot be asked: on other threads, and in processes it did not start."""

from __future__ import annotations

import os


def wanted_color() -> bool | None:
    """What the environment wants; None where it leaves that to there being a terminal.

    Sources: https://no-color.org, https://force-color.org
    """
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None
