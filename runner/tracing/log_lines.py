"""Writes the trace as lines of JSON to Python's log, for hosts that collect logs such as Azure Functions."""

from __future__ import annotations

import json
import logging

from runner.tracing.model import TraceRecord
from runner.tracing.recorder import to_json

_log = logging.getLogger("runner.trace")


class LogLines:
    """One line for each record, at INFO, with secrets masked."""

    def record(self, record: TraceRecord) -> None:
        if _log.isEnabledFor(logging.INFO):
            _log.info("%s", json.dumps(to_json(record), ensure_ascii=False))
