"""Derives ids from names, so that they are the same on every machine."""

from __future__ import annotations

from uuid import UUID, uuid5

_NAMESPACE = UUID("7d6f2b5e-3c1a-4f0e-9b57-2a8c64d1e9f3")


def stable_id(*names: str) -> str:
    """The id that is derived from these names."""
    return str(uuid5(_NAMESPACE, "/".join(names)))
