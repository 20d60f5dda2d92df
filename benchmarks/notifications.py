"""Ten thousand notifications, one in twenty sent twice and one in twenty out of order, to a server killed three times.

    PYTHONPATH=. python benchmarks/notifications.py [PAYMENTS]

Dataverse (`runner emulate`), the server (`runner serve`) and Stripe (the simulator, over HTTP) are processes and
addresses of their own. At the end each payment must have exactly one intent of the right amount, with nothing left on
the queue and nothing dead-lettered; it fails otherwise. Tests do the same with a few dozen payments.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from notified_while_killed import check, notify_and_kill
from rounds import number_asked
from serving_world import World

PAYMENTS = 5000
KILLS = 3


def main() -> None:
    payments = number_asked(__doc__, "payments", PAYMENTS)
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:7.1f} s  {text}", flush=True)

    with ExitStack() as closing:
        world = World(Path(closing.enter_context(tempfile.TemporaryDirectory())), closing)
        notified = notify_and_kill(world, payments, KILLS, say)
        say("looking at every payment and every intent")
        check(world, notified)
        canceled = len(world.simulator.payment_intents) - payments
        requests = len(world.simulator.requests)
    say(f"{notified.notifications} notifications ({notified.refused} tries met a dead server), {KILLS} kills, no loss")
    say(f"{payments} payments, {payments} intents of the right amount, {canceled} canceled, {requests} Stripe requests")


if __name__ == "__main__":
    main()
