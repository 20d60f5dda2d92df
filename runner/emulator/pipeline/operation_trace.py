"""Records the beginning and the end of an operation to a trace sink."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from azure_bridge.redaction import redact
from runner.emulator.pipeline.operation import Operation
from runner.tracing.model import OperationFinished, OperationStarted, TraceSink


@contextmanager
def traced_to(sink: TraceSink, operation: Operation) -> Iterator[None]:
    """Record OperationStarted before the block and OperationFinished after it."""
    clock, started = operation.call.clock, perf_counter()
    target = operation.targets[0] if len(operation.targets) == 1 else None
    facts: dict[str, Any] = {
        "message": operation.message,
        "entity": operation.entity,
        "entity_id": target.id or "" if target is not None else "",
        "depth": operation.call.depth,
    }
    correlation_id, operation_id = operation.call.correlation_id, operation.id
    sink.record(OperationStarted(at=clock.now(), correlation_id=correlation_id, operation_id=operation_id, **facts))
    outcome, error = "succeeded", None
    try:
        yield
    except BaseException as raised:
        outcome, error = "failed", redact(str(raised))
        raise
    finally:
        duration = perf_counter() - started
        sink.record(OperationFinished(at=clock.now(), outcome=outcome, duration=duration, error=error, **facts))
