"""Wording of counts in messages for people."""


def counted(count: int, noun: str) -> str:
    """``1 step``, ``2 steps``. The noun takes an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
