"""A worker process for ``test_kill.py``: drains the queue in DIRECTORY, MINUTES ahead of the real time.

With ``stay`` as the third argument it does not end by itself: whoever kills it may come late.
"""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure_bridge.tables import BridgeConfiguration, PaymentTable
from runner.simulation.environment import EmbeddedEnvironment

WEBHOOK_SECRET = "whsec_of_this_test"
PAYMENTS = PaymentTable(logical_name="new_payment", primary_id="new_paymentid", metadata_key="CRM_PaymentId")
BRIDGE = BridgeConfiguration(
    tables=(PAYMENTS,),
    events=frozenset({"payment_intent.succeeded", "payment_intent.payment_failed", "refund.created"}),
)


class ClockAhead:
    """So that the locks of a killed worker have run out for the next one."""

    def __init__(self, minutes: int) -> None:
        self._ahead = timedelta(minutes=minutes)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


def open_environment(directory: Path, minutes: int = 0) -> EmbeddedEnvironment:
    return EmbeddedEnvironment(
        [],
        BRIDGE,
        directory=directory,
        webhook_secret=WEBHOOK_SECRET,
        services={},
        clock=ClockAhead(minutes),
        keep_rows=True,
        back_off=False,
    )


if __name__ == "__main__":
    environment = open_environment(Path(sys.argv[1]), int(sys.argv[2]))
    environment.drain(batch_size=4)
    if sys.argv[3:] == ["stay"]:
        signal.pause()
    environment.close()
