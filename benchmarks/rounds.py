"""Contenders that take turns, so that a busy moment of the machine meets all of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from statistics import median
from time import process_time

Action = Callable[[], object]


def number_asked(description: str | None, what: str, default: int) -> int:
    """The one number a benchmark's command line takes; ``--help`` shows the benchmark's own docstring."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s [number]"
    )
    parser.add_argument("number", type=int, nargs="?", default=default, help=f"{what} (%(default)s)")
    number: int = parser.parse_args().number
    return number


def interleaved(
    contenders: Mapping[str, Action], rounds: int, calls: int, clock: Callable[[], float] = process_time
) -> dict[str, list[float]]:
    """Microseconds of processor time per call, one figure per round. One warm-up round is not counted.

    ``clock`` tells the processor time so far in seconds, this process's unless told otherwise.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, action in contenders.items():
            spent = _timed(action, calls, clock)
            if number:
                times[name].append(spent)
    return times


def ratio(times: Mapping[str, list[float]], name: str, floor: str) -> float:
    """The median of the rounds' own ratios: both sides of each were measured within the same seconds."""
    return median(ours / bare for ours, bare in zip(times[name], times[floor], strict=True))


def _timed(action: Action, calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        action()
    return (clock() - start) / calls * 1e6
