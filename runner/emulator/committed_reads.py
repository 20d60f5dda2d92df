"""Reading beside another thread's open transaction: only committed rows are seen.

In Dataverse a reader does not wait for whoever writes, and sees the rows as they were before the transactions that are
open: SQL Server keeps their earlier versions. So an endpoint can read while a synchronous step waits for its answer.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/scalable-customization-design/database-transactions
Source: https://learn.microsoft.com/sql/t-sql/statements/set-transaction-isolation-level-transact-sql
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from dataverse_client.types import EntityReference, FetchExpression
from runner.emulator.call import Call
from runner.emulator.pipeline.operation import NO_ENTITY
from runner.emulator.pipeline.pipeline import Pipeline
from runner.emulator.pipeline.step_table import StepTable
from runner.emulator.query.fetchxml import fetched_entity
from runner.emulator.registration.step_rows import STEP
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.rows.records import Records
from runner.emulator.storage.store import CommittedStore, Store
from runner.emulator.transaction import Transaction
from runner.emulator.users import Users

if TYPE_CHECKING:
    from runner.emulator.engine import Engine

#: Its rows are held back until somebody who has the turn asks for them.
_WRITTEN_LATE = frozenset({"plugintracelog"})

_LISTENED_TO = f"""
    SELECT DISTINCT lower(message.name), filter.primaryobjecttypecode
    FROM {STEP} AS step
    LEFT JOIN sdkmessagefilter AS filter ON filter.sdkmessagefilterid = step.sdkmessagefilterid
    JOIN sdkmessage AS message ON message.sdkmessageid = coalesce(filter.sdkmessageid, step.sdkmessageid)
    WHERE step.statecode = 0
"""  # noqa: S608 - names of ours


class CommittedReads:
    """Answers what only reads, for an engine whose turn another has. Safe to use from several threads."""

    def __init__(self, engine: Engine) -> None:
        self._store = CommittedStore(engine.store)
        self._metadata = self._store.metadata
        self._records = Records(self._store, engine.clock)
        self._listened_to = _ListenedTo(self._store)
        # The same environment in every other respect. Messages that only read use nothing else of it.
        self._engine = copy(engine)
        self._engine.store = self._store
        self._engine.records = self._records
        self._engine.users = Users(self._store, self._records)
        self._engine.pipe = Pipeline(self._engine, StepTable(), engine.sink).run
        #: Whoever holds it keeps everybody from reading here.
        self.lock = self._store.lock

    def answer(self, user_id: str, message: str, parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The results; None when the request may change something, be it through a step that listens to it.

        Raises:
          OrganizationServiceFault: (one of its kinds) it is refused.
        """
        entity = _read_entity(message, parameters)
        if entity is None or entity in _WRITTEN_LATE:
            return None
        with self.rows():
            if self._listened_to.includes(message, entity):
                return None
            engine = self._engine
            call = Call(engine, engine.users.caller(user_id), Transaction(self._store))
            return engine.perform(call, message, parameters)

    @contextmanager
    def rows(self) -> Iterator[ReadableRecords]:
        """The rows as they were last committed when it was entered. They can be read, not written."""
        with self._store.looking():
            if self._metadata is not self._store.metadata:
                self._records.forget_tables()
                self._metadata = self._store.metadata
            yield self._records

    def close(self) -> None:
        with self.lock:
            self._store.close()


class _ListenedTo:
    """Which messages have steps, on which tables, as the registration tables say."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._generation = -1
        self._steps: frozenset[tuple[str, str | None]] = frozenset()

    def includes(self, message: str, entity: str) -> bool:
        if self._generation != self._store.generation:
            self._steps = frozenset(self._store.execute(_LISTENED_TO).fetchall())
            self._generation = self._store.generation
        return not self._steps.isdisjoint({(message.lower(), entity), (message.lower(), None)})


def _read_entity(message: str, parameters: Mapping[str, Any]) -> str | None:
    """The table a request reads; None when it does something else, or cannot be read itself."""
    match message.lower():
        case "retrieve":
            target = parameters.get("Target")
            return target.logical_name if isinstance(target, EntityReference) else None
        case "retrievemultiple":
            return _queried(parameters.get("Query"))
        case "whoami":
            return NO_ENTITY
    return None


def _queried(question: Any) -> str | None:
    if isinstance(question, FetchExpression):
        return fetched_entity(question.query)
    return getattr(question, "entity_name", None)
