"""Ids of operations: many are needed, so they are counted rather than drawn, as Dataverse counts those of rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from dataverse_client.types import new_guid


def sequential_guids() -> Iterator[str]:
    """GUIDs that differ in their last twelve digits; the others are random. May be shared between threads."""
    prefix = new_guid()[:24]
    return map((prefix + "%012x").__mod__, count(1))
