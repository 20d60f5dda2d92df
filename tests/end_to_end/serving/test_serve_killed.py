"""A server killed while notifications come in, some twice and some in the wrong order: each row has one intent."""

from __future__ import annotations

from notified_while_killed import check, notify_and_kill

ROWS = 60
LIVES = 3


def test_kill_9_under_load_loses_nothing_and_doubles_nothing(world) -> None:
    check(world, notify_and_kill(world, ROWS, LIVES))
