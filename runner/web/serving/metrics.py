"""Metrics for Prometheus: counted from the trace, and for the queues read on request.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from azure_bridge.queues.contract import MessageQueue, QueueError
from runner.tracing.model import Compensated, EventTraced, NotificationTraced, StepFinished, StripeCalled, TraceRecord

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """A trace sink that counts. Figures are this process's own; the queues' are everybody's."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._notifications = Counter(
            "runner_notifications", "Notifications of Dataverse.", ["station", "message", "entity"], registry=registry
        )
        self._events = Counter("runner_stripe_events", "Events of Stripe.", ["station", "type"], registry=registry)
        self._steps = Histogram("runner_step_seconds", "Time plug-ins take.", ["step", "outcome"], registry=registry)
        self._calls = Counter("runner_stripe_requests", "Requests to Stripe.", ["status"], registry=registry)
        self._undone = Counter("runner_compensations", "What was undone outside CRM.", ["outcome"], registry=registry)

    def watch(self, queues: Iterable[MessageQueue]) -> None:
        """Tell how much waits on these."""
        self._registry.register(_QueueFigures(tuple(queues)))

    def record(self, record: TraceRecord) -> None:
        match record:
            case NotificationTraced():
                self._notifications.labels(record.station, record.message, record.entity).inc()
            case EventTraced():
                self._events.labels(record.station, record.event_type).inc()
            case StepFinished():
                self._steps.labels(record.step, record.outcome).observe(record.duration)
            case StripeCalled():
                self._calls.labels(str(record.status or "none")).inc()
            case Compensated():
                self._undone.labels("failed" if record.error else "done").inc()

    def exposition(self) -> bytes:
        return generate_latest(self._registry)


class _QueueFigures(Collector):
    def __init__(self, queues: tuple[MessageQueue, ...]) -> None:
        self._queues = queues

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Asking for names must not ask the queues."""
        return [_messages()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        figure = _messages()
        for queue in self._queues:
            try:
                counts = queue.counts()
            except QueueError:
                continue  # A queue that is away has no figures; /readyz says so.
            for state in ("active", "locked", "scheduled", "dead_lettered"):
                figure.add_metric([queue.name, state], getattr(counts, state))
        yield figure


def _messages() -> GaugeMetricFamily:
    return GaugeMetricFamily("runner_queue_messages", "Messages on a queue.", labels=["queue", "state"])
