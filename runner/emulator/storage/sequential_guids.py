"""Generates sequential ids for rows and operations, as Dataverse does. That is faster than random ones.

New rows are then added at the end of the index instead of somewhere in the middle.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/entity-operations-create
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count
from random import getrandbits

from dataverse_client.types import new_guid


def sequential_guids() -> Iterator[str]:
    """GUIDs whose first eight digits count up; the others are random. Safe to use from several threads."""
    others = new_guid()[8:]
    ends = [f"{number:02x}{others}" for number in range(256)]

    def block(number: int) -> Iterator[str]:
        return map(f"{number:06x}".__add__, ends)

    return chain.from_iterable(map(block, count(getrandbits(23))))
