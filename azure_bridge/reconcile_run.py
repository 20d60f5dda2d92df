"""One run of a reconciliation: compare a page, put it right, remember how far it came, and so on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from azure_bridge.reconcile import Page, Reconciliation
from azure_bridge.reconcile_cursor import Cursor, save
from azure_bridge.reconcile_fix import Fixer, Outcome


@dataclass(frozen=True, slots=True)
class Progress:
    """A page that was dealt with. ``cursor`` counts what this run, and those it goes on from, found and fixed."""

    page: Page
    outcomes: Sequence[Outcome]
    cursor: Cursor


def run(reconciliation: Reconciliation, start: Cursor, file: Path, fixer: Fixer | None = None) -> Iterator[Progress]:
    """Every page from ``start`` on; with a ``fixer``, put right before the next is read.

    ``file`` keeps the cursor until the run is through, so that one that was stopped can go on.

    Raises:
      DataverseError, StripeError, OSError: the run stops; its file says where.
    """
    cursor = start
    save(file, cursor)
    for page in reconciliation.pages(start):
        outcomes = fixer.fix(page.differences) if fixer else [Outcome(each, "") for each in page.differences]
        fixed = sum(outcome.left is None for outcome in outcomes)
        cursor = replace(page.cursor, found=cursor.found + len(outcomes), fixed=cursor.fixed + fixed)
        # Told first: a page that is told twice is better than one that is never told.
        yield Progress(page, outcomes, cursor)
        save(file, cursor)
    file.unlink()
