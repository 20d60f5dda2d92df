"""The transaction of a call from outside, which all its operations share.

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
    """The part of a store that transactions need."""

    @property
    def in_transaction(self) -> bool: ...
    @property
    def is_private(self) -> bool: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...


class Transaction:
    """``with transaction:`` begins it, or joins it if it is active. The end of the outermost block commits.

    An exception that leaves any block rolls everything back at once. Entering it again after that, or leaving a block
    without an exception, raises TransactionNotStarted.
    """

    is_active = False
    is_rolled_back = False

    def __init__(self, store: TransactionalStore) -> None:
        self._store = store
        #: The depth of nested blocks, even after a rollback.
        self.level = 0
        #: Asynchronous steps to run after the commit.
        self.jobs: list[Job] = []
        #: The rollback actions of plug-ins, for changes outside CRM.
        self.undo: list[Callable[[], object]] = []

    def is_dispensable(self) -> bool:
        """Whether a single statement needs no transaction: SQLite makes it one, and no other request can interfere."""
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
                "This request came from inside another request's transaction. A plug-in must call CRM through "
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
