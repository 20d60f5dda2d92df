"""One run of a reconciliation: compare a page, repair it, save the cursor, and continue with the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from azure_bridge.reconcile.cursor import Cursor, save
from azure_bridge.reconcile.fix import Fixer, Outcome
from azure_bridge.reconcile.reconciliation import Page, Reconciliation


@dataclass(frozen=True, slots=True)
class Progress:
    """A page that was compared and repaired. ``cursor`` counts what was found and fixed, in continued runs as well."""

    page: Page
    outcomes: Sequence[Outcome]
    cursor: Cursor


def run(reconciliation: Reconciliation, start: Cursor, file: Path, fixer: Fixer | None = None) -> Iterator[Progress]:
    """Every page from ``start`` on; with a ``fixer``, each is repaired before the next is read.

    ``file`` holds the cursor until the run is complete, so that an interrupted run can be continued.

    Raises:
      DataverseError, StripeError, OSError: the run stopped; continue from the cursor in ``file``.
    """
    cursor = start
    save(file, cursor)
    for page in reconciliation.pages(start):
        outcomes = fixer.fix(page.differences) if fixer else [Outcome(each, "") for each in page.differences]
        fixed = sum(outcome.left is None for outcome in outcomes)
        cursor = replace(page.cursor, found=cursor.found + len(outcomes), fixed=cursor.fixed + fixed)
        # Yielded before it is saved: after a crash a page is better reported twice than never.
        yield Progress(page, outcomes, cursor)
        save(file, cursor)
    # Another run may have ended meanwhile.
    file.unlink(missing_ok=True)
