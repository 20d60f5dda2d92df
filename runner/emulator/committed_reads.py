"""Reads committed rows while another thread has a transaction open.

In Dataverse, readers do not wait for writers. They see the rows as they were before the open transactions, because SQL
Server keeps earlier versions. So an endpoint can read while a synchronous step waits for its response.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/scalable-customization-design/database-transactions
Source: https://learn.microsoft.com/sql/t-sql/statements/set-transaction-isolation-level-transact-sql
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dataverse_client.types import EntityReference, FetchExpression
from runner.emulator.call import Call
from runner.emulator.messages.definitions import DEFINITION_READS
from runner.emulator.messages.environment import Environment
from runner.emulator.messages.organization import ORGANIZATION_READS
from runner.emulator.query.fetchxml import fetched_entity
from runner.emulator.registration.step_rows import STEP
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.storage.store import CommittedStore, Store
from runner.emulator.transaction import Transaction

#: The table's rows are written with a delay, when a request with the turn needs them.
_WRITTEN_LATE = frozenset({"plugintracelog"})

_FACTS = {**ORGANIZATION_READS, **DEFINITION_READS}

_LISTENED_TO = f"""
    SELECT DISTINCT lower(message.name), filter.primaryobjecttypecode
    FROM {STEP} AS step
    LEFT JOIN sdkmessagefilter AS filter ON filter.sdkmessagefilterid = step.sdkmessagefilterid
    JOIN sdkmessage AS message ON message.sdkmessageid = coalesce(filter.sdkmessageid, step.sdkmessageid)
    WHERE step.statecode = 0
"""  # noqa: S608 - names of ours


class CommittedReads:
    """Answers requests that only read, while another thread has the turn. Safe to use from several threads.

    ``environment`` reads from that store. Messages that only read do not change it.
    """

    def __init__(self, store: CommittedStore, environment: Environment) -> None:
        self._store = store
        self._metadata = store.metadata
        self._environment = environment
        self._listened_to = _ListenedTo(store)
        #: While this lock is held, nobody can read here.
        self.lock = store.lock

    def answer(self, user_id: str, message: str, parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Answer a request; None when it may change something, itself or by its steps.

        Raises:
          OrganizationServiceFault: (one of its kinds) the request is refused.
        """
        entity = _read_entity(message, parameters)
        if entity is None or entity in _WRITTEN_LATE:
            return None
        with self.rows():
            if self._listened_to.includes(message, entity):
                return None
            caller = self._environment.users.caller(user_id)
            call = Call(self._environment, caller, Transaction(self._store))
            return self._environment.perform(call, message, parameters)

    @contextmanager
    def rows(self) -> Iterator[ReadableRecords]:
        """The committed rows at the beginning of the block, read-only."""
        with self._store.looking():
            if self._metadata is not self._store.metadata:
                self._environment.records.forget_tables()
                self._metadata = self._store.metadata
            yield self._environment.records

    def close(self) -> None:
        with self.lock:
            self._store.close()


class _ListenedTo:
    """The messages and tables with registered steps."""

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
    """The table that a request reads; None when it does not only read, or is malformed."""
    match message.lower():
        case "retrieve":
            target = parameters.get("Target")
            return target.logical_name if isinstance(target, EntityReference) else None
        case "retrievemultiple":
            return _queried(parameters.get("Query"))
    return _FACTS.get(message.lower())


def _queried(question: Any) -> str | None:
    if isinstance(question, FetchExpression):
        return fetched_entity(question.query)
    return getattr(question, "entity_name", None)
