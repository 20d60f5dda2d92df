"""Reports a simulation: as a timeline on the console while it runs, or as one JSON document at its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue
from runner.emulator.metadata.model import Metadata
from runner.simulation.story import Ending
from runner.tracing.console import ConsoleTimeline, Paint
from runner.tracing.model import TraceRecord
from runner.tracing.recorder import plain, to_json

_LONGEST_VALUE = 72


class Report(Protocol):
    """A trace sink that also receives the story's headings, notes and ending."""

    def record(self, record: TraceRecord) -> None: ...
    def heading(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...
    def end(self, title: str, ending: Ending) -> None: ...


class ConsoleReport:
    """Writes a line for each record as it arrives."""

    def __init__(self, write: Callable[[str], None], paint: Paint, format_value: ValueFormatter) -> None:
        self._write = write
        self._paint = paint
        self._format = format_value
        self._timeline = ConsoleTimeline(write, format_value, paint, hidden=format_value.hidden)
        self.record = self._timeline.record
        self.heading = self._timeline.heading
        self.note = self._timeline.note

    def end(self, title: str, ending: Ending) -> None:
        if ending.row is not None:
            self.heading(f"Row · {ending.row.logical_name} {ending.row_id}")
            self._timeline.columns(ending.row.logical_name, self._format.worth_seeing(ending.row))
        if ending.intent is not None:
            self.heading(f"Stripe · {ending.intent['id']}")
            self._timeline.columns("", _intent_facts(ending.intent))
        self._write("")
        for problem in ending.problems:
            self._write(self._paint(f"✗ {problem}", fg="red", bold=True))
        if not ending.problems:
            self._write(self._paint(f"✓ {title}", fg="green", bold=True))


class JsonReport:
    """Collects all records and writes one document at the end."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._records: list[TraceRecord] = []

    def record(self, record: TraceRecord) -> None:
        self._records.append(record)

    def heading(self, text: str) -> None:
        """Left out: headings are for people."""

    def note(self, text: str) -> None:
        """Left out: notes are for people."""

    def end(self, title: str, ending: Ending) -> None:
        document = {
            "ok": not ending.problems,
            "summary": title if not ending.problems else ending.problems[0],
            "problems": list(ending.problems),
            "row_id": ending.row_id,
            "status": ending.status,
            "expected_status": ending.expected,
            "row": plain(ending.row) if ending.row is not None else None,
            "intent": plain(_intent_facts(ending.intent)) if ending.intent is not None else None,
            "timeline": [to_json(record) for record in self._records],
        }
        self._write(json.dumps(document, indent=2, ensure_ascii=False))


class ValueFormatter:
    """Formats column values for people: choices by label, lookups by name, money without its type."""

    #: Columns that mean nothing to people.
    hidden = frozenset({"new_stripeledger"})
    _SYSTEM = frozenset(
        {
            "createdby", "createdon", "exchangerate", "modifiedby", "modifiedon", "ownerid", "owningbusinessunit",
            "owninguser", "statecode", "statuscode", "timezoneruleversionnumber", "versionnumber",
        }
    )  # fmt: skip

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def __call__(self, table: str, column: str, value: Any) -> str:
        match value:
            case None:
                text = "(empty)"
            case Money():
                text = _amount(value.value)
            case OptionSetValue():
                text = self._label(table, column, value.value)
            case EntityReference():
                text = value.name or f"{value.logical_name} {value.id}"
            case datetime():
                text = f"{value:%Y-%m-%d %H:%M:%S} UTC"
            case _:
                text = str(value)
        return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"

    def worth_seeing(self, row: Entity) -> Mapping[str, Any]:
        """A row's columns, without the system columns that every row has."""
        skipped = self.hidden | self._SYSTEM | {f"{row.logical_name}id"}
        return {
            column: value
            for column, value in sorted(row.items())
            if value is not None and column not in skipped and not column.endswith("_base")
        }

    def _label(self, table: str, column: str, number: int) -> str:
        known = self._metadata.tables.get(table)
        options = known.columns[column].options if known and column in known.columns else ()
        return next((option.label for option in options if option.value == number), str(number))


def _amount(value: Decimal) -> str:
    """``value`` without trailing zeros, but never with a single decimal: ``12``, ``12.50``, ``12.345``."""
    text = f"{value.normalize():f}"
    return f"{text}0" if text.rpartition(".")[1] and len(text.rpartition(".")[2]) == 1 else text


def _intent_facts(intent: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an intent that are shown. Never the client secret."""
    facts = {key: intent.get(key) for key in ("id", "status", "amount", "amount_received", "currency")}
    return facts | {f"metadata.{key}": value for key, value in sorted(intent["metadata"].items())}
