"""What ``runner queue`` prints: tables for people, JSON for programs. Secrets are masked in both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from azure_bridge.queues.contract import PeekedMessage, QueueCounts, resubmission
from azure_bridge.redaction import redact
from runner.wording import counted

if TYPE_CHECKING:
    from azure_bridge.processor import DrainSummary
    from runner.cli.queue_selection import Selection


def show_counts(counts: Mapping[str, QueueCounts], engine: str, *, as_json: bool) -> None:
    if as_json:
        _print_json([{"queue": name, "engine": engine, **asdict(each)} for name, each in counts.items()])
        return
    rows = [(name, each.active, each.locked, each.scheduled, each.dead_lettered) for name, each in counts.items()]
    _print_table(("Queue", "Waiting", "Locked", "Scheduled", "Dead letters"), rows)
    click.echo(f"Queues are {engine}.")


def show_waiting(messages: Sequence[PeekedMessage], *, as_json: bool) -> None:
    if as_json:
        _print_json([_facts(one) for one in messages])
        return
    if not messages:
        click.echo("No messages.")
        return
    rows = [(*_counters(one), _state(one), *_names(one)) for one in messages]
    _print_table(("Number", "Age", "Deliveries", "State", "Message id", "Subject"), rows, stacked=2)


def show_dead(messages: Sequence[PeekedMessage], *, as_json: bool) -> None:
    if as_json:
        _print_json([_facts(one) for one in messages])
        return
    if not messages:
        click.echo("No dead letters.")
        return
    rows = [(*_counters(one), *_names(one), one.dead_letter_reason, one.dead_letter_description) for one in messages]
    _print_table(("Number", "Age", "Deliveries", "Message id", "Subject", "Reason", "Description"), rows, stacked=4)


def show_one(message: PeekedMessage, *, as_json: bool) -> None:
    facts = {**_facts(message), "body": _body(message)}
    if as_json:
        _print_json(facts)
        return
    body = facts.pop("body")
    for name, value in facts.items():
        if value not in (None, {}, ""):
            click.echo(redact(f"{name:24} {json.dumps(value) if isinstance(value, dict) else value}"))
    click.echo(redact("\n" + (body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False))))


def show_resubmitted(selection: Selection, *, dry_run: bool, as_json: bool) -> None:
    trail = {one.message.message_id: resubmission(one.message).message_id for one in selection.messages}
    if as_json:
        _print_json({"dry_run": dry_run, "resubmitted": trail, "gone": list(selection.gone)})
        return
    for old, new in trail.items():
        click.echo(f"{old} → {new}")
    _conclude("Would be sent again" if dry_run else "Sent again", selection)


def show_discarded(selection: Selection, *, as_json: bool) -> None:
    if as_json:
        discarded = [one.sequence_number for one in selection.messages]
        _print_json({"discarded": discarded, "gone": list(selection.gone)})
        return
    _conclude("Removed", selection)


def show_purged(name: str, removed: int, *, as_json: bool) -> None:
    if as_json:
        _print_json({"queue": name, "removed": removed})
        return
    click.echo(f"Removed {counted(removed, 'message')} of queue {name}.")


def show_drained(name: str, summary: DrainSummary, *, as_json: bool) -> None:
    if as_json:
        _print_json({"queue": name, **asdict(summary)})
        return
    ended = f"{summary.completed} done, {summary.retry_later} to retry later, {summary.dead_lettered} dead-lettered"
    click.echo(f"Queue {name}: {ended}.")
    if summary.dead_lettered:
        click.echo("See why: runner queue dead-letters", err=True)


def _conclude(done: str, selection: Selection) -> None:
    click.echo(f"{done}: {counted(len(selection.messages), 'dead letter')}.")
    if selection.gone:
        numbers = ", ".join(map(str, selection.gone))
        click.echo(f"Not among the dead letters any more: {numbers}.", err=True)


def _counters(one: PeekedMessage) -> tuple[str, ...]:
    tries = str(one.delivery_count) if not one.attempt else f"{one.delivery_count}, retried {one.attempt}×"
    return str(one.sequence_number), _age(one.enqueued_at), tries


def _names(one: PeekedMessage) -> tuple[str, str | None]:
    return one.message.message_id, one.message.subject


def _state(one: PeekedMessage) -> str:
    if one.scheduled_for is not None:
        return f"from {one.scheduled_for:%H:%M:%S} UTC"
    return "waiting" if one.locked_until is None else f"locked until {one.locked_until:%H:%M:%S} UTC"


def _age(since: datetime) -> str:
    age = max(datetime.now(UTC) - since, timedelta(0))
    for unit, seconds in (("d", 86_400), ("h", 3600), ("m", 60)):
        if age >= timedelta(seconds=seconds):
            return f"{age // timedelta(seconds=seconds)}{unit}"
    return f"{age.seconds}s"


def _facts(one: PeekedMessage) -> dict[str, Any]:
    """Everything but the body. Times are ISO 8601."""
    facts = asdict(one)
    message = facts.pop("message")
    del message["body"]
    values = {**message, **facts}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _body(one: PeekedMessage) -> Any:
    """JSON as JSON; anything else as text, with what is not UTF-8 escaped."""
    text = one.message.body.decode(errors="backslashreplace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_json(answer: Any) -> None:
    click.echo(redact(json.dumps(answer, indent=2, ensure_ascii=False)))


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, stacked: int = 1) -> None:
    """A row each. On a terminal, which is seldom wide enough, the last ``stacked`` cells stand under one another."""
    terminal = Console()
    if not terminal.is_terminal:
        # Into a file or a pipe nothing is folded: a line is a message.
        terminal, stacked = Console(width=400), 1
    table = Table(*columns[: len(columns) - stacked + 1], box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        # What a message says is text, and never markup.
        cells = [Text(redact(str("" if cell is None else cell)), overflow="fold") for cell in row]
        table.add_row(*cells[:-stacked], Text("\n").join(cell for cell in cells[-stacked:] if cell))
    terminal.print(table)
