"""Start-up: commands as whole processes, against the least that Python and the packages they stand on take to start.

    PYTHONPATH=. python benchmarks/start_up.py

All take turns; the medians of the rounds' ratios of processor time are printed.
"""

from __future__ import annotations

import resource
import subprocess
import sys

from benchmarks.rounds import Action, interleaved, ratio

ROUNDS = 11

#: What is measured -> Python's arguments.
PROCESSES = {
    "runner --help": ("-m", "runner.cli", "--help"),
    "runner check": ("-m", "runner.cli", "check"),
    "runner simulate": ("-m", "runner.cli", "simulate", "--entity", "payment"),
    "python -c pass": ("-c", "pass"),
    "import click": ("-c", "import click"),
    "import stripe": ("-c", "import stripe"),
}

RATIOS = (
    ("runner --help", "python -c pass", ""),
    ("runner --help", "import click", "(target <= 1.3x)"),
    ("runner check", "import stripe", ""),
    ("runner simulate", "import stripe", ""),
)


def start(*arguments: str) -> Action:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def children_time() -> float:
    """Processor seconds of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    contenders = {name: start(*arguments) for name, arguments in PROCESSES.items()}
    times = interleaved(contenders, ROUNDS, calls=1, clock=children_time)
    for name, floor, target in RATIOS:
        print(f"{name:16} / {floor:16} {ratio(times, name, floor):.2f}x  {target}".rstrip())


if __name__ == "__main__":
    main()
