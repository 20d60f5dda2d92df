"""One transaction per call from outside: entered by every operation inside it, ended by the first that fails.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/scalable-customization-design/database-transactions
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from runner.emulator.errors import InvalidOperation
from runner.emulator.jobs.job import Job
from runner.emulator.plugin_faults import TransactionNotStarted


class TransactionalStore(Protocol):
    """Where the rows are."""

    @property
    def in_transaction(self) -> bool: ...
    @property
    def is_private(self) -> bool: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...


class Transaction:
    """``with transaction:`` begins it, or joins it when it is active; the outermost exit commits.

    An exception that leaves any ``with`` rolls everything back at once. Whoever goes on after that is told so:
    entering it again, or leaving it without an exception, raises TransactionNotStarted.
    """

    is_active = False
    is_rolled_back = False

    def __init__(self, store: TransactionalStore) -> None:
        self._store = store
        #: How many ``with`` are inside one another now, even of one that has been rolled back meanwhile.
        self.level = 0
        #: Asynchronous steps to run once it is committed.
        self.jobs: list[Job] = []
        #: What plug-ins asked to have undone outside CRM should it not be.
        self.undo: list[Callable[[], object]] = []

    def is_dispensable(self) -> bool:
        """Whether one statement would do without it: SQLite makes each a transaction, and nobody can come between."""
        return self.level == 0 and self._store.is_private and not self._store.in_transaction

    def __enter__(self) -> None:
        if self.level == 0:
            self._begin()
        elif not self.is_active:
            raise TransactionNotStarted
        self.level += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.level -= 1
        if error is not None:
            self._roll_back()
        elif self.is_rolled_back:
            raise TransactionNotStarted
        elif self.level == 0:
            self._commit()

    def _begin(self) -> None:
        if self._store.in_transaction:
            raise InvalidOperation(
                "This request came from inside another one's transaction. A plug-in calls CRM through "
                "context.organization, which takes part in it."
            )
        self._store.begin()
        self.is_active = True

    def _commit(self) -> None:
        try:
            self._store.commit()
        except BaseException:
            self._roll_back()
            raise
        self.is_active = False

    def _roll_back(self) -> None:
        if self.is_active:
            self.is_active, self.is_rolled_back = False, True
            self._store.rollback()
