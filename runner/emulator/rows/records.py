"""Rows of the embedded Dataverse: what stage 30 does. No plug-ins, no transactions of its own.

Writes happen inside a transaction the caller began on the store; whoever works with several threads holds
``store.lock``. The Target of a write is completed in place with what the platform sets.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from azure_bridge.clock import Clock
from dataverse_client.types import EMPTY_GUID, Entity, EntityReference
from runner.emulator.errors import ConcurrencyVersionMismatch, InvalidArgument, LoopBeingCreated, ObjectDoesNotExist
from runner.emulator.metadata.model import Table
from runner.emulator.rows.cascade import DeleteRow, cascade
from runner.emulator.rows.keys import refuse_duplicate
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.rows.signatures import PresentSecond, UserReferences
from runner.emulator.rows.table_records import SystemColumns, TableRecords, Write
from runner.emulator.seed import SYSTEM_USER_ID, seed_rows
from runner.emulator.storage.store import Store


class Records(ReadableRecords):
    """The rows of one environment. A database nothing was kept in before gets the rows of a fresh one."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store)
        self._second = PresentSecond(clock)
        self._users = UserReferences()
        #: Rows whose deletion has begun: those that refer to each other would delete one another without end.
        self._leaving: set[EntityReference] = set()
        if not store.execute("SELECT 1 FROM organization").fetchone():
            self._seed()

    def _seed(self) -> None:
        self._store.begin()
        for row in seed_rows():
            if row.logical_name in self._store.metadata.tables:
                self.add_defaults(row)
                self.create(row, SYSTEM_USER_ID)
        self._store.commit()

    # --- new rows -------------------------------------------------------------------------------------------

    def add_defaults(self, target: Entity) -> None:
        """Give a Target, before stage 20 of Create, its id and the default values of choices and the like.

        Raises:
          EntityNotFound: there is no such table.
          InvalidArgument: the id is not a GUID.
        """
        self.tables[target.logical_name].rules.add_defaults(target)

    def create(self, target: Entity, user_id: str) -> str:
        """Insert the row and return its id.

        Raises:
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
          ObjectDoesNotExist: a lookup refers to a row that is not there.
          DuplicateRecord: the id, or an alternate key, is taken.
        """
        table = self.tables[target.logical_name]
        write, parameters = self._new_row(table, target, self._users[user_id], self._second.now())
        if write.checked:
            self.must_exist(*write.references(target.attributes))
        self._execute(table, write.sql, parameters)
        return target.id or EMPTY_GUID

    def create_many(self, targets: Sequence[Entity], user_id: str) -> list[str]:
        """Insert rows of one table and return their ids: as :meth:`create`, but neighbours of one shape together.

        Raises:
          InvalidArgument, ObjectDoesNotExist, DuplicateRecord: as :meth:`create`; some rows may be there then.
        """
        table, user, now = self.tables[targets[0].logical_name], self._users[user_id], self._second.now()
        same: Write | None = None
        waiting: list[list[Any]] = []
        for target in targets:
            write, parameters = self._new_row(table, target, user, now)
            references = write.references(target.attributes) if write.checked else ()
            # A row may refer to an earlier one; and what is kept in memory of some tables has to follow each of theirs.
            if write is not same or table.is_kept or any(other.logical_name == table.name for other in references):
                self._insert(table, same, waiting)
                same, waiting = write, []
            self.must_exist(*references)
            waiting.append(parameters)
        self._insert(table, same, waiting)
        return [target.id or EMPTY_GUID for target in targets]

    def _new_row(
        self, table: TableRecords, target: Entity, user: EntityReference, now: datetime
    ) -> tuple[Write, list[Any]]:
        """Complete the Target; what inserts its row, and with which parameters."""
        attributes, rules = target.attributes, table.rules
        if rules.primary_id not in attributes:
            rules.add_defaults(target)
        wishes = rules.take_wishes(attributes)
        currency = rules.complete_create(attributes, user)
        if rules.auto_numbers:
            rules.number(self._store, attributes, now)
        system = table.creation(wishes, user, now, currency)
        write = table.insert(attributes, system)
        parameters = write.parameters(attributes)
        parameters += system.stored
        if table.versioned:
            parameters.append(self._store.next_version())
        attributes.update(system.attributes)
        return write, parameters

    # --- changes --------------------------------------------------------------------------------------------

    def update(self, target: Entity, user_id: str, *, row_version: str | None = None) -> None:
        """Change the columns ``target`` carries, of the row ``target.id``.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/optimistic-concurrency

        Raises:
          ObjectDoesNotExist: there is no such row, or a lookup refers to none.
          ConcurrencyVersionMismatch: the row is not at ``row_version`` (``"123"`` or ``'W/"123"'``).
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
          DuplicateRecordEntityKey: an alternate key is taken.
          LoopBeingCreated: the row would hang under itself.
        """
        table = self.tables[target.logical_name]
        id = _id_of(table.table, target)
        if row_version is not None:
            self._check_version(table, id, row_version)
        needed = table.rules.needs_current(target)
        current = self._read(table, id, needed).attributes if needed else {}
        user = self._users[user_id]
        table.rules.complete_update(target, current, user)
        system = table.modification(user, self._second.now())
        changes = dict(target.attributes)
        del changes[table.table.primary_id_attribute]
        self._change(table, id, changes, system)
        if table.parent_column in changes:
            self._refuse_loop(table, id)
        target.attributes.update(system.attributes)

    def overwrite(self, target: Entity, user_id: str) -> None:
        """Change columns of the row as the platform does its own: those included that no request can change.

        Raises:
          ObjectDoesNotExist: there is no such row.
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
        """
        table = self.tables[target.logical_name]
        system = table.modification(self._users[user_id], self._second.now())
        self._change(table, target.id or EMPTY_GUID, target.attributes, system)

    def sign(self, target: Entity, user_id: str, columns: Iterable[str]) -> None:
        """Name that user in those columns of the row, where its table has them."""
        table = self.tables[target.logical_name]
        signature = dict.fromkeys((name for name in columns if name in table.codecs), self._users[user_id])
        if signature:
            self._change(table, target.id or EMPTY_GUID, signature, table.unsigned)
            target.attributes.update(signature)

    def _change(self, table: TableRecords, id: str, changes: Mapping[str, Any], system: SystemColumns) -> None:
        write = table.update(changes, system)
        parameters = write.parameters(changes)
        if write.checked:
            self.must_exist(*write.references(changes))
        parameters += system.stored
        if table.versioned:
            parameters.append(self._store.next_version())
        parameters.append(id)
        if self._execute(table, write.sql, parameters).rowcount == 0:
            raise ObjectDoesNotExist.of(table.name, id)

    def _refuse_loop(self, table: TableRecords, id: str) -> None:
        """The row has just been hung under another: it must not be among its own ancestors.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/query-hierarchical-data
        """
        sql = (
            f'WITH RECURSIVE ancestor(id) AS (SELECT "{table.parent_column}" FROM "{table.name}" '  # noqa: S608
            f'WHERE "{table.table.primary_id_attribute}" = ?1 UNION SELECT t."{table.parent_column}" '
            f'FROM "{table.name}" AS t JOIN ancestor ON t."{table.table.primary_id_attribute}" = ancestor.id) '
            "SELECT 1 FROM ancestor WHERE id = ?1"
        )
        if self._store.execute(sql, (id,)).fetchone():
            raise LoopBeingCreated.of(table.name)

    # --- deletions ------------------------------------------------------------------------------------------

    def delete(
        self, reference: EntityReference, *, row_version: str | None = None, delete: DeleteRow | None = None
    ) -> None:
        """Delete the row, and do to the rows that refer to it what each relationship says.

        ``delete`` deletes a row that a cascade takes along; the pipeline gives one that runs its steps.

        Raises:
          ObjectDoesNotExist: there is no such row.
          ConcurrencyVersionMismatch: the row is not at ``row_version``.
          CannotDeleteDueToAssociation: a relationship restricts the deletion.
        """
        table = self.tables[reference.logical_name]
        self._check_version(table, reference.id, row_version)
        self._take_along(reference, delete or self.delete)
        self._execute(table, table.delete_sql, [reference.id])
        if table.table.change_tracking_enabled:
            deleted = (reference.logical_name, self._store.next_version(), reference.id)
            self._store.execute("INSERT INTO deleted_row (table_name, version, id) VALUES (?, ?, ?)", deleted)

    def _take_along(self, reference: EntityReference, delete: DeleteRow) -> None:
        self._leaving.add(reference)
        try:
            cascade(self._store, reference, delete, self._clear, self._leaving)
        finally:
            self._leaving.discard(reference)

    def _clear(self, row: EntityReference, column: str) -> None:
        table = self.tables[row.logical_name]
        self._change(table, row.id, {column: None}, table.unsigned)

    # --- statements -----------------------------------------------------------------------------------------

    def _check_version(self, table: TableRecords, id: str, expected: str | None) -> None:
        row = self._version(table, id)
        if row is None:
            raise ObjectDoesNotExist.of(table.name, id)
        if expected is not None and str(expected).removeprefix("W/").strip('"') != str(row[0]):
            raise ConcurrencyVersionMismatch

    def _insert(self, table: TableRecords, write: Write | None, rows: list[list[Any]]) -> None:
        if write is None:
            return
        try:
            self._store.write_many(write.sql, rows)
        except sqlite3.IntegrityError as error:
            refuse_duplicate(table.table, error)
        if table.is_kept:
            self._store.generation += 1

    def _execute(self, table: TableRecords, sql: str, parameters: list[Any]) -> sqlite3.Cursor:
        try:
            cursor = self._store.write(sql, parameters)
        except sqlite3.IntegrityError as error:
            refuse_duplicate(table.table, error)
        if table.is_kept:
            self._store.generation += 1
        return cursor


def _id_of(table: Table, target: Entity) -> str:
    if target.id is None:
        raise InvalidArgument(f"An Update of {table.logical_name} must say which row: its id is missing.")
    named = target.attributes.setdefault(table.primary_id_attribute, target.id)
    if named != target.id:
        raise InvalidArgument(f"The id of {table.logical_name} {target.id} cannot be changed to {named}.")
    return target.id
