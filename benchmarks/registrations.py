"""Registrations: what checking them costs on top of parsing them.

    python benchmarks/registrations.py

Both sides take turns; the median of the rounds' ratios of processor time is printed.
"""

from __future__ import annotations

import yaml

from benchmarks.rounds import interleaved, ratio
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


def main() -> None:
    text = registrations()
    times = interleaved({"ours": lambda: parse(text), "floor": lambda: yaml.load(text, yaml.CSafeLoader)}, ROUNDS, 1)
    print(f"load and check {STEPS} steps / CSafeLoader alone    {ratio(times, 'ours', 'floor'):.2f}x  (target <= 1.2x)")


if __name__ == "__main__":
    main()
