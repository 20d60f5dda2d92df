"""Sinks that keep records in a list or pass them on to several sinks, and records as JSON."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from azure_bridge.redaction import redact
from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue
from runner.tracing.model import TraceRecord, TraceSink


class Recorder:
    """Keeps every record, in order."""

    def __init__(self) -> None:
        self.records: list[TraceRecord] = []

    def record(self, record: TraceRecord) -> None:
        self.records.append(record)


class FanOut:
    """Passes each record on to several sinks."""

    def __init__(self, *sinks: TraceSink) -> None:
        self._sinks = sinks

    def record(self, record: TraceRecord) -> None:
        for sink in self._sinks:
            sink.record(record)


class PerThread:
    """Gives each thread a sink of its own, for sinks whose records must not be interleaved."""

    def __init__(self, make: Callable[[], TraceSink]) -> None:
        self._make = make
        self._here = threading.local()

    def record(self, record: TraceRecord) -> None:
        sink: TraceSink | None = getattr(self._here, "sink", None)
        if sink is None:
            sink = self._here.sink = self._make()
        sink.record(record)


class Silence:
    """Drops every record."""

    def record(self, record: TraceRecord) -> None:
        """Does nothing."""


def to_json(record: TraceRecord) -> dict[str, Any]:
    """A record as JSON values, with its class as ``kind``. Secrets in texts are masked."""
    fields = {f.name: plain(getattr(record, f.name)) for f in dataclasses.fields(record)}
    return {"kind": type(record).__name__, **fields}


def plain(value: Any) -> Any:
    """A column or parameter value in JSON: amounts as exact text, choices as numbers."""
    match value:
        case str():
            return redact(value)
        case None | bool() | int() | float():
            return value
        case Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
        case Money():
            return str(value.value)
        case OptionSetValue():
            return value.value
        case EntityReference():
            return {"logical_name": value.logical_name, "id": value.id, "name": value.name}
        case Entity():
            return {column: plain(each) for column, each in value.items()}
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case tuple() | list():
            return [plain(each) for each in value]
        case _:
            return redact(str(value))
