"""What ``runner reconcile`` prints: a line per difference as it is found, a progress bar, and the totals."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from azure_bridge.reconcile import EVENTS, INTENTS, ROWS
from azure_bridge.reconcile.cursor import Cursor, CursorUnreadableError
from azure_bridge.reconcile.fix import Outcome
from azure_bridge.reconcile.run import Progress as RunProgress
from azure_bridge.redaction import redact

_LINE = "{:<19} {:<50} {:<30} {}"


class View:
    """Prints differences on standard output as they come; the progress bar appears on a terminal only."""

    def __init__(self, start: Cursor, *, as_json: bool, fixing: bool) -> None:
        self.cursor = start
        self._as_json = as_json
        self._fixing = fixing
        self._compared = 0
        self._has_headings = False
        terminal = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[compared]} compared"),
            console=terminal,
            transient=True,
            disable=not terminal.is_terminal,
            # Lines for the same terminal go above the bar; those for a file or a pipe go there.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("Stripe's events", total=1.0, compared=0)

    def __enter__(self) -> View:
        if not self._as_json:
            since, until = (f"{time:%Y-%m-%d %H:%M:%S}" for time in (self.cursor.since, self.cursor.until))
            click.echo(f"Stripe and CRM, from {since} to {until} UTC.")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is not None and not isinstance(error, CursorUnreadableError):
            click.echo("Interrupted. Continue from here with: runner reconcile --resume", err=True)

    def show(self, progress: RunProgress) -> None:
        self.cursor = progress.cursor
        self._compared += progress.page.compared
        stage = self.cursor.stage
        title = _TITLES.get(stage) or f"CRM's {stage.removeprefix(ROWS)} rows"
        self._bar.update(self._task, description=title, completed=progress.page.done, compared=self._compared)
        for outcome in progress.outcomes:
            if self._as_json:
                _print_json(_facts(outcome))
            else:
                self._print_line(outcome)

    def conclude(self) -> None:
        self._bar.stop()
        cursor = self.cursor
        if self._as_json:
            sums = {"found": cursor.found, "fixed": cursor.fixed, "left": cursor.left}
            _print_json({"compared": self._compared, **_times(cursor), **sums})
        elif not cursor.found:
            young = "" if self._compared else " What is younger than five minutes is left for the next run."
            click.echo(f"Nothing differs; {self._compared} compared.{young}")
        else:
            click.echo(f"{cursor.found} found, {cursor.fixed} fixed, {cursor.left} left; {self._compared} compared.")
            if cursor.left and not self._fixing:
                click.echo("Repair what can be repaired with: runner reconcile --fix", err=True)

    def _print_line(self, outcome: Outcome) -> None:
        if not self._has_headings:
            click.echo(_LINE.format("Difference", "Row", "Intent", "What"))
            self._has_headings = True
        each = outcome.difference
        row = f"{each.table} {each.row_id}" if each.row_id else ""
        click.echo(redact(_LINE.format(each.kind, row, each.intent_id or "", each.detail + _ending(outcome))))


_TITLES = {EVENTS: "Stripe's events", INTENTS: "Stripe's intents"}


def _ending(outcome: Outcome) -> str:
    if outcome.left is None:
        return ". Fixed"
    return f". Left: {outcome.left}" if outcome.left else ""


def _facts(outcome: Outcome) -> dict[str, Any]:
    facts = asdict(outcome.difference)
    fixable = facts.pop("remedy") is not None
    return {**facts, "fixable": fixable, "fixed": outcome.left is None, "left": outcome.left or None}


def _times(cursor: Cursor) -> dict[str, str]:
    return {"since": cursor.since.isoformat(), "until": cursor.until.isoformat()}


def _print_json(facts: dict[str, Any]) -> None:
    click.echo(redact(json.dumps(facts, ensure_ascii=False)))
