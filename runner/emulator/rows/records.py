"""Creates, updates and deletes rows: the main operation (stage 30), without plug-ins or transactions of its own.

The caller begins the transaction on the store, and holds ``store.lock`` if there are several threads. The Target of a
write is completed in place with the columns that the platform sets.
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
from runner.emulator.rows.files import delete_files_of_row, follow_columns
from runner.emulator.rows.keys import refuse_duplicate
from runner.emulator.rows.reading import ReadableRecords
from runner.emulator.rows.signatures import PresentSecond, UserReferences
from runner.emulator.rows.table_records import SystemColumns, TableRecords, Write
from runner.emulator.seed import SYSTEM_USER_ID, seed_rows
from runner.emulator.storage.store import Store


class Records(ReadableRecords):
    """The rows of one environment. An empty database gets the rows of a new environment."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store)
        self._second = PresentSecond(clock)
        self._users = UserReferences()
        #: Rows whose deletion has begun, so that rows that refer to each other do not cascade endlessly.
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
        """Set the id and the default values of a Target, before stage 20 of Create.

        Raises:
          EntityNotFound: there is no such table.
          InvalidArgument: the id is not a GUID.
        """
        self.tables[target.logical_name].rules.add_defaults(target)

    def create(self, target: Entity, user_id: str) -> str:
        """Insert the row and return its id.

        Raises:
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
          ObjectDoesNotExist: a lookup refers to a row that does not exist.
          DuplicateRecord: the id, or an alternate key, is taken.
        """
        table = self.tables[target.logical_name]
        write, parameters = self._new_row(table, target, self._users[user_id], self._second.now())
        if write.checked:
            self.must_exist(*write.references(target.attributes))
        self._execute(table, write.sql, parameters)
        return target.id or EMPTY_GUID

    def create_many(self, targets: Sequence[Entity], user_id: str) -> list[str]:
        """Insert rows of one table and return their ids. Consecutive rows with the same columns share a statement.

        Raises:
          InvalidArgument, ObjectDoesNotExist, DuplicateRecord: as :meth:`create`; some rows may then be inserted.
        """
        table, user, now = self.tables[targets[0].logical_name], self._users[user_id], self._second.now()
        same: Write | None = None
        waiting: list[list[Any]] = []
        for target in targets:
            write, parameters = self._new_row(table, target, user, now)
            references = write.references(target.attributes) if write.checked else ()
            # A row may refer to an earlier one, and each row of a cached table must empty the caches.
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
        """Complete the Target, and return its INSERT with the parameters."""
        attributes, rules = target.attributes, table.rules
        if rules.primary_id not in attributes:
            rules.add_defaults(target)
        requested = rules.take_requested(attributes)
        currency = rules.complete_create(attributes, user)
        if rules.auto_numbers:
            rules.number(self._store, attributes, now)
        system = table.creation(requested, user, now, currency)
        write = table.insert(attributes, system)
        parameters = write.parameters(attributes)
        parameters += system.stored
        if table.versioned:
            parameters.append(self._store.next_version())
        attributes.update(system.attributes)
        return write, parameters

    # --- changes --------------------------------------------------------------------------------------------

    def update(self, target: Entity, user_id: str, *, row_version: str | None = None) -> None:
        """Update the row ``target.id`` with the columns of ``target``.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/optimistic-concurrency

        Raises:
          ObjectDoesNotExist: the row, or one that a lookup refers to, does not exist.
          ConcurrencyVersionMismatch: the row is not at ``row_version`` (``"123"`` or ``'W/"123"'``).
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
          DuplicateRecordEntityKey: an alternate key is taken.
          LoopBeingCreated: the row would be its own ancestor.
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
        if table.file_columns:
            files = table.file_columns & target.attributes.keys()
            follow_columns(self._store, table.name, id, target.attributes, files)
        changes = dict(target.attributes)
        del changes[table.table.primary_id_attribute]
        self._change(table, id, changes, system)
        if table.parent_column in changes:
            self._refuse_loop(table, id)
        target.attributes.update(system.attributes)

    def overwrite(self, target: Entity, user_id: str) -> None:
        """Update any columns of the row, including those that only the platform can write.

        Raises:
          ObjectDoesNotExist: there is no such row.
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
        """
        table = self.tables[target.logical_name]
        system = table.modification(self._users[user_id], self._second.now())
        self._change(table, target.id or EMPTY_GUID, target.attributes, system)

    def sign(self, target: Entity, user_id: str, columns: Iterable[str]) -> None:
        """Set those columns of the row, if its table has them, to the user."""
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
        """Raises LoopBeingCreated when the row, whose parent was just set, is its own ancestor.

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
        """Delete the row, and cascade that to the rows that refer to it.

        ``delete`` deletes a row that the cascade includes; the pipeline passes one that runs its steps.

        Raises:
          ObjectDoesNotExist: there is no such row.
          ConcurrencyVersionMismatch: the row is not at ``row_version``.
          CannotDeleteDueToAssociation: a relationship restricts the deletion.
        """
        table = self.tables[reference.logical_name]
        self._check_version(table, reference.id, row_version)
        self._cascade(reference, delete or self.delete)
        self._execute(table, table.delete_sql, [reference.id])
        if table.file_columns:
            delete_files_of_row(self._store, table.name, reference.id)
        if table.table.change_tracking_enabled:
            deleted = (reference.logical_name, self._store.next_version(), reference.id)
            self._store.execute("INSERT INTO deleted_row (table_name, version, id) VALUES (?, ?, ?)", deleted)

    def _cascade(self, reference: EntityReference, delete: DeleteRow) -> None:
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
        raise InvalidArgument(f"An Update of {table.logical_name} needs the id of the row.")
    named = target.attributes.setdefault(table.primary_id_attribute, target.id)
    if named != target.id:
        raise InvalidArgument(f"The id of {table.logical_name} {target.id} cannot be changed to {named}.")
    return target.id
