"""Registrations and start-up: what checking costs on top of parsing, and ``runner --help`` on top of Python.

    python benchmarks/registrations.py

Both sides of a ratio run in interleaved rounds; the median is printed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import yaml

from runner.registrations.load import parse

STEPS = 1000
ROUNDS = 11


def registrations() -> str:
    """A file of many steps, each with images, a filter and a configuration."""
    steps = [
        {
            "name": f"Step {number}: keep the intent in step",
            "plugin": "plugins.payment_intents:UpdatePaymentIntent",
            "message": "Update",
            "entity": f"new_payment{number}",
            "stage": 40,
            "rank": number,
            "filtering_attributes": ["new_amount", "transactioncurrencyid", "new_paymentstatus"],
            "images": [{"type": "pre", "alias": "before"}, {"type": "post", "alias": "after"}],
            "configuration": {"collect": "intent", "description": "{{ row.new_name }}", "key": "${env:NAME}"},
        }
        for number in range(STEPS)
    ]
    return yaml.safe_dump({"steps": steps}, sort_keys=False)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], floor: Callable[[], object]) -> float:
    rounds = [(seconds(ours), seconds(floor)) for _ in range(ROUNDS)]
    return statistics.median(ours for ours, _ in rounds) / statistics.median(floor for _, floor in rounds)


def python(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def main() -> None:
    text = registrations()
    checked = ratio(lambda: parse(text), lambda: yaml.load(text, yaml.CSafeLoader))
    print(f"load and check {STEPS} steps / CSafeLoader alone    {checked:.2f}x  (target <= 1.2x)")
    helped = ratio(python("-c", "from runner.cli.main import main; main()", "--help"), python("-c", "pass"))
    print(f"runner --help / python -c pass                  {helped:.2f}x  (target <= 3.0x)")
    clicked = ratio(python("-c", "from runner.cli.main import main; main()", "--help"), python("-c", "import click"))
    print(f"runner --help / python -c 'import click'        {clicked:.2f}x")


if __name__ == "__main__":
    main()
