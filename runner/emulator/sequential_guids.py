"""Ids of rows and operations: many are needed, so they are counted rather than drawn, as Dataverse counts them.

A new row then goes to the end of its table's index instead of somewhere in the middle.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/entity-operations-create
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import getrandbits

from dataverse_client.types import new_guid


def sequential_guids() -> Iterator[str]:
    """GUIDs that differ in their first eight digits; the others are random. May be shared between threads."""
    others = new_guid()[8:]
    return map(f"%08x{others}".__mod__, count(getrandbits(31)))
