"""The plug-in trace log: a ``plugintracelog`` row per execution, kept even if the transaction is rolled back.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/logging-tracing
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from azure_bridge.redaction import redact
from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.rows.records import Records
from runner.emulator.seed import ORGANIZATION_ID, SYSTEM_USER_ID
from runner.emulator.storage.store import Store
from runner.emulator.storage.values import moment_text
from runner.emulator.transaction import Transaction
from runner.execution.execution import Execution
from runner.execution.host import text_of
from runner.execution.tracebacks import plugin_traceback

#: The most bytes of trace text for each execution; the oldest lines are dropped.
MAX_BYTES = 10 * 1024

#: Rows held back at most; they are written before anybody can look.
MOST_WAITING = 256

#: The age at which rows are deleted, and how often that is done.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/logging-tracing
LIFETIME = timedelta(hours=24)
_CLEANED_EVERY = timedelta(hours=1)

_PLUG_IN = 1
_AT_ONCE = datetime.min.replace(tzinfo=UTC)
_ORGANIZATION = EntityReference("organization", ORGANIZATION_ID)


class TraceSetting(IntEnum):
    """``organization.plugintracelogsetting``: which executions are logged."""

    OFF = 0
    EXCEPTION = 1
    ALL = 2


class TraceLog:
    """Collects executions, to write their rows outside the transactions they ran in."""

    def __init__(self, store: Store, records: Records) -> None:
        self._store = store
        self._records = records
        self._generation = -1
        self._setting = TraceSetting.OFF
        self._cleaned_next = _AT_ONCE
        #: With the tracebacks at that time, as an exception collects frames while it is raised on.
        self.waiting: list[tuple[Execution, str | None]] = []

    def setting(self) -> TraceSetting:
        """The organization's setting, cached until it may have changed."""
        if self._generation != self._store.generation:
            row = self._records.retrieve(_ORGANIZATION, ("plugintracelogsetting",), formatted=False)
            setting = row.get("plugintracelogsetting")
            self._setting = TraceSetting.OFF if setting is None else TraceSetting(setting.value)
            self._generation = self._store.generation
        return self._setting

    def add(self, execution: Execution) -> None:
        setting = self.setting()
        if setting is TraceSetting.ALL or (setting is TraceSetting.EXCEPTION and execution.error is not None):
            self.waiting.append((execution, _exception_details(execution.error)))

    def tend(self, now: datetime) -> None:
        """Write the waiting rows and delete old ones, before they may be read."""
        self.write()
        if now >= self._cleaned_next and not self._store.in_transaction:
            with Transaction(self._store):
                self._clean(now)

    def write(self) -> None:
        """Write the waiting rows, unless an open transaction could roll them back."""
        if not self.waiting or self._store.in_transaction:
            return
        with Transaction(self._store):
            rows = self.take()
            self._records.create_many(rows, SYSTEM_USER_ID)
            for row in rows:
                self._date(row)

    def take(self) -> list[Entity]:
        """Remove and return the waiting rows."""
        waiting, self.waiting = self.waiting, []
        return [_row(execution, details) for execution, details in waiting]

    def _date(self, row: Entity) -> None:
        """Set a row's date of creation to the time when its step ran."""
        ran_on = row["performanceexecutionstarttime"]
        if row["createdon"] > ran_on:
            id, moment = row.id, moment_text(ran_on)
            self._store.execute("UPDATE plugintracelog SET createdon = ? WHERE plugintracelogid = ?", (moment, id))

    def _clean(self, now: datetime) -> None:
        """Delete old rows."""
        self._cleaned_next = now + _CLEANED_EVERY
        self._store.execute("DELETE FROM plugintracelog WHERE createdon < ?", (moment_text(now - LIFETIME),))


def _row(execution: Execution, exception_details: str | None) -> Entity:
    context, step = execution.context, execution.step
    columns = {
        "typename": step.plugin_name,
        "messageblock": newest_lines(execution.lines) or None,
        "exceptiondetails": exception_details,
        "messagename": context.message_name,
        "primaryentity": context.primary_entity_name,
        "mode": OptionSetValue(int(context.mode)),
        "operationtype": OptionSetValue(_PLUG_IN),
        "depth": context.depth,
        "correlationid": context.correlation_id,
        "requestid": context.request_id,
        "pluginstepid": step.id,
        "organizationid": context.organization_id,
        "issystemcreated": False,
        "performanceexecutionstarttime": execution.started_on.replace(microsecond=0),
        "performanceexecutionduration": round(execution.duration * 1000),
    }
    return Entity("plugintracelog", None, {name: value for name, value in columns.items() if value is not None})


def newest_lines(lines: Sequence[str], limit: int = MAX_BYTES) -> str:
    """The last lines that fit into ``limit`` bytes of UTF-8, or the end of the last line if it is longer."""
    kept: list[str] = []
    room = limit
    for line in reversed(lines):
        room -= len(line.encode()) + (1 if kept else 0)
        if room < 0:
            break
        kept.append(line)
    if lines and not kept:
        return lines[-1].encode()[-limit:].decode(errors="ignore")
    return "\n".join(reversed(kept))


def _exception_details(error: Exception | None) -> str | None:
    if error is None:
        return None
    return redact(text_of(plugin_traceback(error)))
