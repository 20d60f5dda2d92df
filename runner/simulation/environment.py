"""The whole road in one process: embedded Dataverse, plug-ins, Stripe, the durable queue and the bridge.

Nothing here is special to a simulation: the client, the receiver, the queue and the processor are those that
run against a real environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from azure_bridge.clock import Clock, SystemClock
from azure_bridge.processor import BATCH_SIZE, DrainSummary, PaymentProcessor
from azure_bridge.queues import open_queue
from azure_bridge.queues.contract import MessageQueue
from azure_bridge.receiver import Accepted, Reception, StripeReceiver
from azure_bridge.settlement import RetryPolicy
from azure_bridge.tables import BridgeConfiguration
from dataverse_client.retry import RetrySettings
from runner.emulator.adapter import client_of
from runner.emulator.custom_api import CustomApi
from runner.emulator.emulator import Emulator
from runner.emulator.jobs.job import BACK_OFF
from runner.emulator.metadata.model import Metadata
from runner.execution.step import Step
from runner.tracing.bridge import TracingObserver
from runner.tracing.model import TraceSink
from runner.tracing.recorder import Recorder

CRM_FILE = "dataverse.db"


class EmbeddedEnvironment:
    """CRM and bridge, wired. ``crm`` is the emulator, ``client`` reaches it over the Web API.

    ``directory`` holds the queue's file unless a ``queue`` is given, which it then closes, and with ``keep_rows`` the
    emulator's too; rows are in memory otherwise.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        bridge: BridgeConfiguration,
        *,
        directory: Path,
        webhook_secret: str,
        services: Mapping[type, Any],
        clock: Clock | None = None,
        sink: TraceSink | None = None,
        metadata: Metadata | None = None,
        custom_apis: Iterable[CustomApi] = (),
        queue: MessageQueue | None = None,
        keep_rows: bool = False,
        back_off: bool = True,
    ) -> None:
        """``back_off`` False makes every retry follow at once: for tests."""
        clock = clock or SystemClock()
        sink = sink or Recorder()
        database = directory / CRM_FILE if keep_rows else None
        pause = BACK_OFF if back_off else timedelta(0)
        self.crm = Emulator(
            database=database, metadata=metadata, clock=clock, services=services, sink=sink, back_off=pause
        )
        for api in custom_apis:
            self.crm.register_api(api)
        for step in steps:
            self.crm.register(step)
        self.client = client_of(self.crm, retry=RetrySettings(back_off=back_off))
        self.queue = queue or open_queue("payment-events", directory=directory, clock=clock)
        self._observer = TracingObserver(sink, clock)
        self._receiver = StripeReceiver(bridge, lambda: [webhook_secret], clock=clock, observer=self._observer)
        retries = RetryPolicy() if back_off else RetryPolicy(first=timedelta(0))
        self._processor = PaymentProcessor(self.client, bridge, observer=self._observer, retries=retries, clock=clock)

    def deliver(self, payload: bytes, signature: str) -> Reception:
        """What Stripe's POST does: verify, and store on the queue before answering."""
        reception = self._receiver.receive(payload, signature)
        if isinstance(reception, Accepted):
            self.queue.send([reception.message])
            self._observer.queued(reception.event)
        return reception

    def drain(self, *, batch_size: int = BATCH_SIZE) -> DrainSummary:
        """Apply what waits on the queue to the rows."""
        return self._processor.drain(self.queue, batch_size=batch_size)

    def close(self) -> None:
        self.queue.close()
        self.client.close()
        self.crm.close()
