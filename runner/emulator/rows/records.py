"""Rows of the embedded Dataverse: what stage 30 does. No plug-ins, no transactions of its own.

Writes happen inside a transaction the caller began on the store; whoever works with several threads holds
``store.lock``. The Target of a write is completed in place with what the platform sets.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from azure_bridge.clock import Clock
from dataverse_client.types import (
    EMPTY_GUID,
    AliasedValue,
    Entity,
    EntityCollection,
    EntityReference,
    QueryExpression,
    guid,
)
from runner.emulator.errors import (
    ConcurrencyVersionMismatch,
    DuplicateRecord,
    DuplicateRecordEntityKey,
    EntityKeyNotDefined,
    EntityNotFound,
    InvalidArgument,
    LoopBeingCreated,
    ObjectDoesNotExist,
    OrganizationServiceFault,
    RecordNotFoundByEntityKey,
)
from runner.emulator.metadata.model import AlternateKey, Table
from runner.emulator.query.model import Query, from_query_expression
from runner.emulator.query.plan import run_query
from runner.emulator.rows.associations import Linked, association
from runner.emulator.rows.cascade import DeleteRow, cascade
from runner.emulator.rows.facts import Facts
from runner.emulator.rows.table_records import SystemColumns, TableRecords, Write
from runner.emulator.seed import SYSTEM_USER_ID, seed_rows
from runner.emulator.sequential_guids import sequential_guids
from runner.emulator.store import Store

_ONE_SECOND = timedelta(seconds=1)


class Records:
    """The rows of one environment. A database nothing was kept in before gets the rows of a fresh one."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._facts = Facts(store)
        self._ids = sequential_guids()
        self._tables: dict[str, TableRecords] = {}
        self._users = _UserReferences()
        self._second = self._next_second = datetime.min.replace(tzinfo=UTC)
        if not store.execute("SELECT 1 FROM organization").fetchone():
            self._seed()

    def _seed(self) -> None:
        self._store.begin()
        for row in seed_rows():
            if row.logical_name in self._store.metadata.tables:
                self.add_defaults(row)
                self.create(row, SYSTEM_USER_ID)
        self._store.commit()

    def _table(self, logical_name: str) -> TableRecords:
        try:
            return self._tables[logical_name]
        except KeyError:
            table = self._store.metadata.tables.get(logical_name)
            if table is None:
                raise EntityNotFound.named(logical_name) from None
            made = self._tables[logical_name] = TableRecords(self._store, table, self._facts, self._ids)
            return made

    def forget_tables(self) -> None:
        """The metadata is another: make anew what is made from it."""
        self._tables.clear()

    # --- writing --------------------------------------------------------------------------------------------

    def add_defaults(self, target: Entity) -> None:
        """Give a Target, before stage 20 of Create, its id and the default values of choices and the like.

        Raises:
          EntityNotFound: there is no such table.
          InvalidArgument: the id is not a GUID.
        """
        self._table(target.logical_name).rules.add_defaults(target)

    def create(self, target: Entity, user_id: str) -> str:
        """Insert the row and return its id.

        Raises:
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
          ObjectDoesNotExist: a lookup refers to a row that is not there.
          DuplicateRecord: the id, or an alternate key, is taken.
        """
        table = self._table(target.logical_name)
        write, parameters = self._new_row(table, target, self._users[user_id], self._now())
        if write.checked:
            self._must_exist(*write.references(target.attributes))
        self._execute(table, write.sql, parameters)
        return target.id or EMPTY_GUID

    def create_many(self, targets: Sequence[Entity], user_id: str) -> list[str]:
        """Insert rows of one table and return their ids: as :meth:`create`, but neighbours of one shape together.

        Raises:
          InvalidArgument, ObjectDoesNotExist, DuplicateRecord: as :meth:`create`; some rows may be there then.
        """
        table, user, now = self._table(targets[0].logical_name), self._users[user_id], self._now()
        same: Write | None = None
        waiting: list[list[Any]] = []
        for target in targets:
            write, parameters = self._new_row(table, target, user, now)
            references = write.references(target.attributes) if write.checked else ()
            # A row may refer to an earlier one; and what is kept in memory of some tables has to follow each of theirs.
            if write is not same or table.is_kept or any(other.logical_name == table.name for other in references):
                self._insert(table, same, waiting)
                same, waiting = write, []
            self._must_exist(*references)
            waiting.append(parameters)
        self._insert(table, same, waiting)
        return [target.id or EMPTY_GUID for target in targets]

    def _insert(self, table: TableRecords, write: Write | None, rows: list[list[Any]]) -> None:
        if write is None:
            return
        try:
            self._store.write_many(write.sql, rows)
        except sqlite3.IntegrityError as error:
            _refuse_duplicate(table.table, error)
        if table.is_kept:
            self._store.generation += 1

    def _new_row(
        self, table: TableRecords, target: Entity, user: EntityReference, now: datetime
    ) -> tuple[Write, list[Any]]:
        """Complete the Target; what inserts its row, and with which parameters."""
        attributes, rules = target.attributes, table.rules
        if rules.primary_id not in attributes:
            rules.add_defaults(target)
        currency = rules.complete_create(attributes, user)
        system = table.creation(attributes, user, now, currency)
        write = table.insert(attributes, system)
        parameters = write.parameters(attributes)
        parameters += system.stored
        if table.versioned:
            parameters.append(self._store.next_version())
        attributes.update(system.attributes)
        return write, parameters

    def update(self, target: Entity, user_id: str, *, row_version: str | None = None) -> None:
        """Change the columns ``target`` carries, of the row ``target.id``.

        Raises:
          ObjectDoesNotExist: there is no such row, or a lookup refers to none.
          ConcurrencyVersionMismatch: the row is not at ``row_version`` (``"123"`` or ``'W/"123"'``).
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
          DuplicateRecordEntityKey: an alternate key is taken.
          LoopBeingCreated: the row would hang under itself.
        """
        table = self._table(target.logical_name)
        id = _id_of(table.table, target)
        if row_version is not None:
            self._check_version(table, id, row_version)
        needed = table.rules.needs_current(target)
        current = self._read(table, id, needed).attributes if needed else {}
        user = self._users[user_id]
        table.rules.complete_update(target, current, user)
        system = table.modification(user, self._now())
        changes = dict(target.attributes)
        del changes[table.table.primary_id_attribute]
        self._change(table, id, changes, system)
        if table.parent_column in changes:
            self._refuse_loop(table, id)
        target.attributes.update(system.attributes)

    def sign(self, target: Entity, user_id: str, columns: Iterable[str]) -> None:
        """Name that user in those columns of the row, where its table has them."""
        table = self._table(target.logical_name)
        signature = dict.fromkeys((name for name in columns if name in table.codecs), self._users[user_id])
        if signature:
            self._change(table, target.id or EMPTY_GUID, signature, table.unsigned)
            target.attributes.update(signature)

    def _change(self, table: TableRecords, id: str, changes: Mapping[str, Any], system: SystemColumns) -> None:
        write = table.update(changes, system)
        parameters = write.parameters(changes)
        if write.checked:
            self._check_references(write, changes)
        parameters += system.stored
        if table.versioned:
            parameters.append(self._store.next_version())
        parameters.append(id)
        if self._execute(table, write.sql, parameters).rowcount == 0:
            raise ObjectDoesNotExist.of(table.name, id)

    def _refuse_loop(self, table: TableRecords, id: str) -> None:
        """The row has just been hung under another: it must not be among its own ancestors."""
        sql = (
            f'WITH RECURSIVE ancestor(id) AS (SELECT "{table.parent_column}" FROM "{table.name}" '  # noqa: S608
            f'WHERE "{table.table.primary_id_attribute}" = ?1 UNION SELECT t."{table.parent_column}" '
            f'FROM "{table.name}" AS t JOIN ancestor ON t."{table.table.primary_id_attribute}" = ancestor.id) '
            "SELECT 1 FROM ancestor WHERE id = ?1"
        )
        if self._store.execute(sql, (id,)).fetchone():
            raise LoopBeingCreated.of(table.name)

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
        table = self._table(reference.logical_name)
        self._check_version(table, reference.id, row_version)
        cascade(self._store, reference, delete or self.delete, self._clear)
        self._execute(table, table.delete_sql, [reference.id])
        if table.table.change_tracking_enabled:
            deleted = (reference.logical_name, self._store.next_version(), reference.id)
            self._store.execute("INSERT INTO deleted_row (table_name, version, id) VALUES (?, ?, ?)", deleted)

    def _clear(self, row: EntityReference, column: str) -> None:
        table = self._table(row.logical_name)
        self._change(table, row.id, {column: None}, table.unsigned)

    def associate(
        self,
        reference: EntityReference,
        relationship: str,
        related: Iterable[EntityReference],
        user_id: str = SYSTEM_USER_ID,
    ) -> None:
        """Link rows to ``reference`` by the relationship of that schema name.

        Raises:
          InvalidArgument: there is no such relationship between these tables.
          ObjectDoesNotExist: one of the rows is not there.
          DuplicateRecord: two rows are linked already, by a many-to-many relationship.
        """
        for other in related:
            row = association(self._store.metadata, relationship, reference, other)
            self._must_exist(reference, other)
            if isinstance(row, Linked):
                self._link(row)
            else:
                self.update(row, user_id)

    def disassociate(
        self,
        reference: EntityReference,
        relationship: str,
        related: Iterable[EntityReference],
        user_id: str = SYSTEM_USER_ID,
    ) -> None:
        """Undo :meth:`associate`. Rows that are not linked stay as they are.

        Raises:
          InvalidArgument: there is no such relationship between these tables.
          ObjectDoesNotExist: one of the rows is not there.
        """
        for other in related:
            row = association(self._store.metadata, relationship, reference, other)
            self._must_exist(reference, other)
            if isinstance(row, Linked):
                self._execute(self._table(row.table), row.delete_sql, list(row.ends.values()))
            elif self._refers(row):
                self.update(Entity(row.logical_name, row.id, dict.fromkeys(row.attributes)), user_id)

    def _link(self, linked: Linked) -> None:
        try:
            self.create(Entity(linked.table, None, linked.ends), SYSTEM_USER_ID)
        except DuplicateRecordEntityKey:
            raise DuplicateRecord("Cannot insert duplicate key: the rows are associated already.") from None

    def _refers(self, row: Entity) -> bool:
        """Whether the row's lookup holds what ``row`` says."""
        ((column, wanted),) = row.attributes.items()
        held = self._read(self._table(row.logical_name), row.id or EMPTY_GUID, (column,)).get(column)
        return bool(held == wanted)

    def _must_exist(self, *references: EntityReference) -> None:
        for reference in references:
            if self._version(self._table(reference.logical_name), reference.id) is None:
                raise ObjectDoesNotExist.of(reference.logical_name, reference.id)

    # --- change tracking --------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The greatest row version so far: what changes from now on has a greater one."""
        return self._store.version

    def deleted(self, logical_name: str, since: int, until: int) -> list[str]:
        """The ids of the table's rows deleted after version ``since``, up to ``until``, and still gone."""
        primary_id = self._table(logical_name).table.primary_id_attribute
        sql = (
            f'SELECT d.id FROM deleted_row AS d LEFT JOIN "{logical_name}" AS t ON t."{primary_id}" = d.id '  # noqa: S608 - names of metadata
            f'WHERE d.table_name = ? AND d.version > ? AND d.version <= ? AND t."{primary_id}" IS NULL '
            "GROUP BY d.id ORDER BY max(d.version)"
        )
        return [row[0] for row in self._store.execute(sql, (logical_name, since, until))]

    # --- reading --------------------------------------------------------------------------------------------

    def retrieve(
        self, reference: EntityReference, columns: Sequence[str] | None = None, *, formatted: bool = True
    ) -> Entity:
        """The row, with the columns asked for that have a value; None asks for all. Money brings its currency.

        ``formatted`` fills the names of lookups and the formatted values.

        Raises:
          ObjectDoesNotExist: there is no such row.
          AttributeNotFound: the table has no such column.
        """
        table = self._table(reference.logical_name)
        entity = self._read(table, self._resolved(reference), None if columns is None else tuple(columns))
        if formatted:
            table.formats.name_lookups(entity)
            table.formats.apply(entity)
        return entity

    def retrieve_multiple(self, query: Query | QueryExpression, *, formatted: bool = True) -> EntityCollection:
        """The page of rows a query asks for; ``formatted`` as in :meth:`retrieve`.

        Raises:
          InvalidArgument: (one of its kinds) a table, column, operator, value or cookie is wrong; the message names it.
        """
        if isinstance(query, QueryExpression):
            query = from_query_expression(query)
        answer = run_query(self._store, query)
        if formatted:
            formats = self._table(query.entity_name).formats
            for entity in answer.entities:
                formats.name_lookups(entity)
                formats.apply(entity)
                self._format_aliased(entity)
        return answer

    def _format_aliased(self, entity: Entity) -> None:
        for key, value in entity.attributes.items():
            if isinstance(value, AliasedValue):
                formats = self._table(value.entity_logical_name).formats
                text = formats.text(value.attribute_logical_name, value.value)
                if text is not None:
                    entity.formatted_values[key] = text

    def image(self, reference: EntityReference, columns: Sequence[str] | None = None) -> Entity:
        """A snapshot of the row with exactly these columns, and the id."""
        entity = self.retrieve(reference, columns)
        if columns is not None and "transactioncurrencyid" not in columns:
            entity.attributes.pop("transactioncurrencyid", None)
            entity.formatted_values.pop("transactioncurrencyid", None)
        return entity

    def image_of_new(self, target: Entity, columns: Sequence[str] | None = None) -> Entity:
        """The same as :meth:`image` of a row :meth:`create` has just made of this Target, without reading it."""
        table = self._table(target.logical_name)
        version = self._store.version
        entity = Entity(target.logical_name, target.id, row_version=str(version) if table.versioned else None)
        entity.attributes = table.read_back(target, version, None if columns is None else tuple(columns))
        table.formats.name_lookups(entity)
        table.formats.apply(entity, target)
        return entity

    def format(self, target: Entity) -> None:
        """Fill the formatted values of a Target."""
        self._table(target.logical_name).formats.apply(target)

    def resolve_key(self, row: Entity | EntityReference) -> str | None:
        """The id of the row meant by id or by alternate key; None when there is no such row.

        Raises:
          EntityKeyNotDefined: the key attributes are no alternate key of the table.
          InvalidArgument: (one of its kinds) a key attribute's value does not fit its column.
        """
        table = self._table(row.logical_name)
        if row.id is not None and row.id != EMPTY_GUID:
            id = guid(row.id)
            return id if self._version(table, id) else None
        if not row.key_attributes:
            raise InvalidArgument(f"Which {table.name} is meant? Neither its id nor an alternate key is given.")
        key = _key_of(table.table, row.key_attributes)
        if any(row.key_attributes[column] is None for column in key.columns):
            return None  # a row without a value has no key
        values = [table.codecs[column].encode(row.key_attributes[column]) for column in key.columns]
        condition = " AND ".join(f'"{column}" = ?' for column in key.columns)
        sql = f'SELECT "{table.table.primary_id_attribute}" FROM "{table.name}" WHERE {condition}'  # noqa: S608
        found = self._store.execute(sql, values).fetchone()
        return found[0] if found else None

    def _resolved(self, reference: EntityReference) -> str:
        if reference.id != EMPTY_GUID or not reference.key_attributes:
            return reference.id
        id = self.resolve_key(reference)
        if id is None:
            raise RecordNotFoundByEntityKey.in_table(reference.logical_name)
        return id

    # --- between rows and SQL -------------------------------------------------------------------------------

    def _now(self) -> datetime:
        """The present second. It is the same object as long as it lasts, so that what depends on it can be kept."""
        now = self._clock.now()
        if not self._second <= now < self._next_second:
            self._second = now.replace(microsecond=0)
            self._next_second = self._second + _ONE_SECOND
        return self._second

    def _read(self, table: TableRecords, id: str, columns: tuple[str, ...] | None) -> Entity:
        sql, reader = table.read(columns)
        row = self._store.execute(sql, (id,)).fetchone()
        if row is None:
            raise ObjectDoesNotExist.of(table.name, id)
        return reader.read(row)

    def _version(self, table: TableRecords, id: str) -> tuple[int | None] | None:
        """The row's version, in a tuple; None when there is no such row."""
        row: tuple[int | None] | None = self._store.execute(table.version_sql, (id,)).fetchone()
        return row

    def _check_references(self, write: Write, attributes: Mapping[str, Any]) -> None:
        self._must_exist(*write.references(attributes))

    def _check_version(self, table: TableRecords, id: str, expected: str | None) -> None:
        row = self._version(table, id)
        if row is None:
            raise ObjectDoesNotExist.of(table.name, id)
        if expected is not None and expected.removeprefix("W/").strip('"') != str(row[0]):
            raise ConcurrencyVersionMismatch

    def _execute(self, table: TableRecords, sql: str, parameters: list[Any]) -> sqlite3.Cursor:
        try:
            cursor = self._store.write(sql, parameters)
        except sqlite3.IntegrityError as error:
            _refuse_duplicate(table.table, error)
        if table.is_kept:
            self._store.generation += 1
        return cursor


class _UserReferences(dict[str, EntityReference]):
    """One reference for all that a user does: what was made for it is then found again by identity."""

    def __missing__(self, id: str) -> EntityReference:
        user = self[id] = EntityReference("systemuser", id)
        return user


def _id_of(table: Table, target: Entity) -> str:
    if target.id is None:
        raise InvalidArgument(f"An Update of {table.logical_name} must say which row: its id is missing.")
    named = target.attributes.setdefault(table.primary_id_attribute, target.id)
    if named != target.id:
        raise InvalidArgument(f"The id of {table.logical_name} {target.id} cannot be changed to {named}.")
    return target.id


def _key_of(table: Table, attributes: Mapping[str, Any]) -> AlternateKey:
    for key in table.keys:
        if set(key.columns) == attributes.keys():
            return key
    raise EntityKeyNotDefined.of(table.logical_name, attributes)


def _refuse_duplicate(table: Table, error: sqlite3.IntegrityError) -> NoReturn:
    """SQLite names the columns: ``UNIQUE constraint failed: t.a, t.b``."""
    columns = [part.rpartition(".")[2] for part in str(error).partition(": ")[2].split(", ")]
    if columns == [table.primary_id_attribute]:
        raise DuplicateRecord("A record with matching key values already exists.") from error
    for key in table.keys:
        if list(key.columns) == columns:
            raise DuplicateRecordEntityKey.of(key.schema_name, key.columns) from error
    raise OrganizationServiceFault(f"{table.logical_name}: {error}") from error
