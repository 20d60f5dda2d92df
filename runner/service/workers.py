"""The threads that process the two queues until they are stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from azure_bridge.queues.contract import QueueError
from azure_bridge.redaction import redact
from runner.intake.worker import LaneWorker
from runner.service.until_stopped import leave_at_once
from runner.service.wiring import Service

#: Seconds before a queue that failed is tried again.
_PAUSE = 1.0
#: Seconds after which somebody who ended it is told what it still waits for.
_PATIENCE = 2.0
_MAX_WAIT = timedelta(milliseconds=500)

_log = logging.getLogger(__name__)


class Workers:
    """``concurrency`` rows at the same time on "dataverse-events", one batch at a time on "payment-events"."""

    def __init__(self, service: Service, *, concurrency: int = 4, payments: bool = True) -> None:
        self._stopping = threading.Event()
        worker = LaneWorker(service.events, service.dispatcher.handle, service.resources.clock, concurrency=concurrency)
        jobs: dict[str, Callable[[], object]] = {service.events.name: lambda: worker.run(self._stopping.is_set)}
        processor = service.processor
        if payments and processor is not None:
            jobs[service.payments.name] = lambda: processor.drain(
                service.payments, until=self._stopping.is_set, max_wait=_MAX_WAIT
            )
        self._threads = [
            threading.Thread(target=self._keep, args=(name, job), name=f"worker {name}") for name, job in jobs.items()
        ]

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish what is at work, and give back the rest. Whoever interrupts that ends the process at once."""
        self._stopping.set()
        try:
            if not self._ended_within(_PATIENCE):
                _log.warning("Waiting for what is being processed. Ctrl-C ends at once.")
                self._ended_within(None)
        except KeyboardInterrupt:
            _log.warning("Ended at once. What was being processed is delivered again when its lock runs out.")
            leave_at_once()

    def _ended_within(self, seconds: float | None) -> bool:
        """Whether all have, when each was waited for that long; None: however long it takes."""
        for thread in self._threads:
            thread.join(seconds)
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def are_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def wait(self) -> None:
        """Until somebody interrupts the main thread."""
        while self.are_alive:
            self._stopping.wait(_PAUSE)

    def _keep(self, name: str, job: Callable[[], object]) -> None:
        """A queue that is away for a while does not end its worker."""
        while not self._stopping.is_set():
            try:
                job()
            except QueueError as error:
                _log.warning("Queue %s: %s", name, redact(str(error)))
                self._stopping.wait(_PAUSE)
            except Exception as error:
                _log.error("The worker of queue %s failed, and goes on: %s", name, redact(repr(error)))
                self._stopping.wait(_PAUSE)
