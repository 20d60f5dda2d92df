"""The timeline on the console: one line per record, indented by nesting.

The caller provides the colours (``paint``); without a terminal, texts stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeVar

from azure_bridge.redaction import redact
from runner.tracing.model import (
    Compensated,
    EventTraced,
    NotificationTraced,
    OperationFinished,
    OperationStarted,
    StepFinished,
    StepStarted,
    StepTraced,
    StripeCalled,
    TraceRecord,
    WrittenBack,
)

STAGES = {10: "PreValidation", 20: "PreOperation", 30: "MainOperation", 40: "PostOperation"}

_READS = {"Retrieve", "RetrieveMultiple", "WhoAmI"}
#: What a message without a table has in its place.
_NO_ENTITY = "none"
#: Of the stations at which an event or notification ends.
_COLOURS = {"applied": "green", "handled": "green", "retry later": "yellow", "vetoed": "red", "dead-lettered": "red"}

T = TypeVar("T")

#: Writes a column's value for a person: (table, column, value) -> text.
FormatValue = Callable[[str, str, Any], str]


class Paint(Protocol):
    """Adds colour to a text."""

    def __call__(self, text: str, *, fg: str | None = None, bold: bool = False, dim: bool = False) -> str: ...


def plain_paint(text: str, *, fg: str | None = None, bold: bool = False, dim: bool = False) -> str:
    """The text without colour."""
    return text


class ConsoleTimeline:
    """Writes a line for each record at once, so that a slow step is visible."""

    def __init__(
        self,
        write: Callable[[str], None],
        format_value: FormatValue,
        paint: Paint = plain_paint,
        *,
        hidden: Collection[str] = (),
    ) -> None:
        """``hidden`` are columns that mean nothing to people."""
        self._hidden = hidden
        self._write = write
        self._format = format_value
        self._paint = paint
        self._level = 1
        self._held_back: OperationStarted | None = None

    def record(self, record: TraceRecord) -> None:
        if self._is_plain_read(record):
            return
        match record:
            case OperationStarted():
                self._operation_started(record)
            case OperationFinished():
                self._operation_finished(record)
            case StepStarted():
                self._step_started(record)
            case StepTraced():
                self._line(self._paint("· ", dim=True) + record.line)
            case StepFinished():
                self._step_finished(record)
            case Compensated():
                self._compensated(record)
            case StripeCalled():
                self._stripe_called(record)
            case EventTraced():
                self._event_traced(record)
            case NotificationTraced():
                self._notification_traced(record)
            case WrittenBack():
                self._written_back(record)

    def heading(self, text: str) -> None:
        """Begin a new part of the timeline."""
        self._write("")
        self._write(redact(self._paint(text, bold=True)))

    def note(self, text: str) -> None:
        """Write a remark."""
        self._line(self._paint(text, dim=True))

    def columns(self, table: str, values: Mapping[str, Any]) -> None:
        """Write a row, one column per line."""
        width = max((len(column) for column in values), default=0)
        for column, value in values.items():
            self._line(f"{column:<{width}}  {self._format(table, column, value)}")

    def _is_plain_read(self, record: TraceRecord) -> bool:
        """Whether the record belongs to a read in which nothing else happens: such reads are left out."""
        held_back, self._held_back = self._held_back, None
        if isinstance(record, OperationFinished) and held_back is not None and record.outcome == "succeeded":
            return True
        if held_back is not None:
            self._operation_started(held_back)
        if isinstance(record, OperationStarted) and record.message in _READS:
            self._held_back = record
            return True
        return False

    def _operation_started(self, record: OperationStarted) -> None:
        depth = f" depth {record.depth}" if record.depth > 1 else ""
        row = () if record.entity == _NO_ENTITY else (record.entity, record.entity_id)
        self._line(" ".join(filter(None, (self._paint(record.message, bold=True), *row, depth))))
        self._level += 1

    def _operation_finished(self, record: OperationFinished) -> None:
        self._level -= 1
        took = milliseconds(record.duration)
        if record.outcome != "succeeded":
            self._line(self._paint(f"✗ {record.message} rolled back: {record.error}  {took}", fg="red"))
        elif record.depth == 1:
            self._line(self._paint(f"✓ {record.message} committed  {took}", fg="green"))

    def _step_started(self, record: StepStarted) -> None:
        mode = ", asynchronous" if record.mode else ""
        stage = f"{record.stage} {STAGES.get(record.stage, '')}"
        where = self._paint(f"{stage}, rank {record.rank}{mode}", fg="cyan")
        self._line(f"{where}  {self._paint(record.step, bold=True)}  {self._paint(record.plugin, dim=True)}")
        self._level += 1

    def _step_finished(self, record: StepFinished) -> None:
        for column, (before, after) in self._visible(record.changes):
            old, new = (self._format(record.entity, column, value) for value in (before, after))
            self._line(f"Target.{column}: {old} → {self._paint(new, fg='green')}")
        took = self._paint(milliseconds(record.duration), dim=True)
        if record.outcome == "succeeded":
            self._line(f"{self._paint('✓', fg='green')} {took}")
        else:
            self._line(f"{self._paint(f'✗ {record.error}', fg='red')} {took}")
        self._level -= 1

    def _compensated(self, record: Compensated) -> None:
        if record.error:
            self._line(self._paint(f"↩ undoing failed: {record.error}", fg="red"))
        else:
            self._line(self._paint("↩ undone outside CRM, because the transaction was rolled back", fg="yellow"))

    def _stripe_called(self, record: StripeCalled) -> None:
        answer = f"{record.status}" if record.status else "no answer"
        facts = [record.subject, record.request_id, "replayed" if record.replayed else None, record.error]
        colour = "green" if record.status and record.status < 400 else "red"
        self._line(
            f"{self._paint('→ Stripe', fg='magenta')} {record.method} {record.path} {self._paint(answer, fg=colour)}"
            f"  {'  '.join(fact for fact in facts if fact)}  {self._paint(milliseconds(record.duration), dim=True)}"
        )

    def _event_traced(self, record: EventTraced) -> None:
        colour = _COLOURS.get(record.station)
        detail = f"  {record.detail}" if record.detail else ""
        event = f"{record.event_type}  {self._paint(record.event_id, dim=True)}"
        dim = record.station == "received" and bool(record.detail)
        self._line(self._paint(f"{self._paint(f'{record.station:<9}', fg=colour)} {event}{detail}", dim=dim))
        for column, value in self._visible(record.changes or {}):
            self._line(f"  {column}: {self._format(record.table or '', column, value)}")

    def _notification_traced(self, record: NotificationTraced) -> None:
        colour = {"handled": "green", "dead-lettered": "red", "vetoed": "red", "retry later": "yellow"}.get(
            record.station
        )
        detail = f"  {record.detail}" if record.detail else ""
        what = f"{record.message} {record.entity} {record.entity_id}"
        self._line(f"{self._paint(f'{record.station:<9}', fg=colour)} {what}  (by {record.source}){detail}")

    def _written_back(self, record: WrittenBack) -> None:
        self._line(f"{self._paint('← written back', fg='green')} {record.entity} {record.entity_id}")
        for column, value in self._visible(record.changes):
            self._line(f"  {column}: {self._format(record.entity, column, value)}")

    def _visible(self, changes: Mapping[str, T]) -> list[tuple[str, T]]:
        return [(column, value) for column, value in changes.items() if column not in self._hidden]

    def _line(self, text: str) -> None:
        try:
            self._write(redact("  " * self._level + text))
        except BrokenPipeError:
            # The reader has gone, as `head` does: that is no reason to fail the operation.
            self._write = _discard


def _discard(_: str) -> None:
    """Write nothing."""


def milliseconds(seconds: float) -> str:
    """``4.2 ms``."""
    return f"{seconds * 1000:.1f} ms"
