"""Rows of the embedded Dataverse: what stage 30 does. No plug-ins, no transactions of its own.

Writes happen inside a transaction the caller began on the store; whoever works with several threads holds
``store.lock``. The Target of a write is completed in place with what the platform sets.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
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
    AttributeNotFound,
    CannotDeleteDueToAssociation,
    ConcurrencyVersionMismatch,
    DuplicateRecord,
    DuplicateRecordEntityKey,
    EntityKeyNotDefined,
    EntityNotFound,
    InvalidArgument,
    ObjectDoesNotExist,
    OrganizationServiceFault,
)
from runner.emulator.facts import KEPT_TABLES, Facts
from runner.emulator.formats import Formats
from runner.emulator.metadata.model import AlternateKey, CascadeDelete, OneToManyRelationship, Table
from runner.emulator.query.model import Query, from_query_expression
from runner.emulator.query.plan import run_query
from runner.emulator.reader import Reader
from runner.emulator.rules import Call, Rules
from runner.emulator.seed import SYSTEM_USER_ID, seed_rows
from runner.emulator.store import Store
from runner.emulator.values import Codec

DeleteRow = Callable[[EntityReference], None]

_STATEMENTS_KEPT = 4096
_DUPLICATE_ID = "A record with matching key values already exists."


class _TableRecords:
    """What is made once for a table: its rules, codecs, formats and statements."""

    __slots__ = ("codecs", "formats", "inserts", "name", "readers", "referenced_by", "rules", "table", "updates")

    def __init__(self, store: Store, table: Table, facts: Facts) -> None:
        self.table = table
        self.name = table.logical_name
        self.codecs: Mapping[str, Codec] = store.codecs[table.logical_name]
        self.rules = Rules(table, facts)
        self.formats = Formats(table, facts)
        self.referenced_by = store.metadata.referenced_by(table.logical_name)
        self.inserts: dict[tuple[str, ...], str] = {}
        self.updates: dict[tuple[str, ...], str] = {}
        self.readers: dict[tuple[str, ...] | None, Reader] = {}

    def insert_sql(self, columns: tuple[str, ...]) -> str:
        quoted = ", ".join(f'"{column}"' for column in columns)
        marks = ", ".join("?" * len(columns))
        return f'INSERT INTO "{self.name}" ({quoted}) VALUES ({marks})'  # noqa: S608 - metadata's names

    def update_sql(self, columns: tuple[str, ...]) -> str:
        changes = ", ".join(f'"{column}" = ?' for column in columns)
        return f'UPDATE "{self.name}" SET {changes} WHERE "{self.table.primary_id_attribute}" = ?'  # noqa: S608


class Records:
    """The rows of one environment."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._facts = Facts(store)
        self._tables: dict[str, _TableRecords] = {}
        if store.is_new:
            self._seed()

    def _seed(self) -> None:
        self._store.begin()
        for row in seed_rows():
            self.add_defaults(row)
            self.create(row, SYSTEM_USER_ID)
        self._store.commit()

    def _records(self, logical_name: str) -> _TableRecords:
        try:
            return self._tables[logical_name]
        except KeyError:
            table = self._store.metadata.tables.get(logical_name)
            if table is None:
                raise EntityNotFound.named(logical_name) from None
            records = self._tables[logical_name] = _TableRecords(self._store, table, self._facts)
            return records

    # --- writing --------------------------------------------------------------------------------------------

    def add_defaults(self, target: Entity) -> None:
        """Give a Target, before stage 20 of Create, its id and the default values of choices and the like."""
        self._records(target.logical_name).rules.add_defaults(target)

    def create(self, target: Entity, user_id: str) -> str:
        """Insert the row and return its id.

        Raises:
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
          ObjectDoesNotExist: a lookup refers to a row that is not there.
          DuplicateRecord: the id, or an alternate key, is taken.
        """
        records = self._records(target.logical_name)
        if target.id is None:
            records.rules.add_defaults(target)
        records.rules.complete_create(target, self._call(user_id))
        columns, values = self._encode(records, target.attributes, nulls=False)
        if "versionnumber" in records.codecs:
            columns.append("versionnumber")
            values.append(self._store.next_version())
        shape = tuple(columns)
        try:
            sql = records.inserts[shape]
        except KeyError:
            sql = _kept(records.inserts, shape, records.insert_sql(shape))
        self._write(records, sql, values)
        return target.id or EMPTY_GUID

    def update(self, target: Entity, user_id: str, *, row_version: str | None = None) -> None:
        """Change the columns ``target`` carries, of the row ``target.id``.

        Raises:
          ObjectDoesNotExist: there is no such row, or a lookup refers to none.
          ConcurrencyVersionMismatch: the row is not at ``row_version`` (``"123"`` or ``'W/"123"'``).
          InvalidArgument: (one of its kinds) a column or value is wrong; the message names it.
          DuplicateRecordEntityKey: an alternate key is taken.
        """
        records = self._records(target.logical_name)
        id = _id_of(records.table, target)
        if row_version is not None:
            self._check_version(records, id, row_version)
        needed = records.rules.needs_current(target)
        current = self._read(records, id, needed).attributes if needed else {}
        records.rules.complete_update(target, current, self._call(user_id))
        columns, values = self._encode(records, target.attributes, nulls=True)
        self._update_row(records, id, columns, values)

    def _update_row(self, records: _TableRecords, id: str, columns: list[str], values: list[Any]) -> None:
        if "versionnumber" in records.codecs:
            columns.append("versionnumber")
            values.append(self._store.next_version())
        shape = tuple(columns)
        try:
            sql = records.updates[shape]
        except KeyError:
            sql = _kept(records.updates, shape, records.update_sql(shape))
        values.append(id)
        if self._write(records, sql, values).rowcount == 0:
            raise ObjectDoesNotExist.of(records.name, id)

    def delete(
        self,
        reference: EntityReference,
        *,
        row_version: str | None = None,
        delete: DeleteRow | None = None,
    ) -> None:
        """Delete the row, and do to the rows that refer to it what each relationship says.

        ``delete`` deletes a row that a cascade takes along; the pipeline gives one that runs its steps.

        Raises:
          ObjectDoesNotExist: there is no such row.
          ConcurrencyVersionMismatch: the row is not at ``row_version``.
          CannotDeleteDueToAssociation: a relationship restricts the deletion.
        """
        records = self._records(reference.logical_name)
        self._check_version(records, reference.id, row_version)
        self._cascade(records, reference, delete or self.delete)
        sql = f'DELETE FROM "{records.name}" WHERE "{records.table.primary_id_attribute}" = ?'  # noqa: S608
        self._write(records, sql, [reference.id])

    def _cascade(self, records: _TableRecords, reference: EntityReference, delete: DeleteRow) -> None:
        by_kind = sorted(records.referenced_by, key=lambda r: _CASCADE_ORDER.index(r.cascade_delete))
        for relationship in by_kind:
            if relationship.cascade_delete is CascadeDelete.NO_CASCADE:
                continue
            for id in self._referring(relationship, reference.id):
                self._cascade_to(relationship, EntityReference(relationship.referencing_entity, id), reference, delete)

    def _cascade_to(
        self,
        relationship: OneToManyRelationship,
        referring: EntityReference,
        deleted: EntityReference,
        delete: DeleteRow,
    ) -> None:
        if relationship.cascade_delete is CascadeDelete.RESTRICT:
            raise CannotDeleteDueToAssociation(
                f"The {deleted.logical_name} {deleted.id} cannot be deleted because {referring.logical_name} "
                f"{referring.id} is associated with it by {relationship.referencing_attribute}."
            )
        if relationship.cascade_delete is CascadeDelete.CASCADE:
            delete(referring)
            return
        records = self._records(referring.logical_name)
        column = records.codecs[relationship.referencing_attribute]
        columns = [column.name, column.table_column] if column.table_column else [column.name]
        self._update_row(records, referring.id, columns, [None] * len(columns))

    def _referring(self, relationship: OneToManyRelationship, id: str) -> list[str]:
        table = self._records(relationship.referencing_entity)
        column = table.codecs[relationship.referencing_attribute]
        sql = f'SELECT "{table.table.primary_id_attribute}" FROM "{table.name}" WHERE "{column.name}" = ?'  # noqa: S608
        parameters = [id]
        if column.table_column:
            sql += f' AND "{column.table_column}" = ?'
            parameters.append(relationship.referenced_entity)
        return [row[0] for row in self._store.execute(sql, parameters).fetchall()]

    # --- reading --------------------------------------------------------------------------------------------

    def retrieve(
        self, reference: EntityReference, columns: Sequence[str] | None = None, *, formatted: bool = True
    ) -> Entity:
        """The row, with the columns asked for that have a value; None asks for all.

        ``formatted`` fills the names of lookups and the formatted values.

        Raises:
          ObjectDoesNotExist: there is no such row.
          AttributeNotFound: the table has no such column.
        """
        records = self._records(reference.logical_name)
        id = self._resolved(reference)
        entity = self._read(records, id, None if columns is None else tuple(columns))
        if formatted:
            records.formats.name_lookups(entity)
            records.formats.apply(entity)
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
            formats = self._records(query.entity_name).formats
            for entity in answer.entities:
                formats.name_lookups(entity)
                formats.apply(entity)
                self._format_aliased(entity)
        return answer

    def _format_aliased(self, entity: Entity) -> None:
        for key, value in entity.attributes.items():
            if isinstance(value, AliasedValue):
                formats = self._records(value.entity_logical_name).formats
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

    def format(self, target: Entity) -> None:
        """Fill the formatted values of a Target."""
        self._records(target.logical_name).formats.apply(target)

    def resolve_key(self, row: Entity | EntityReference) -> str | None:
        """The id of the row meant by id or by alternate key; None when there is no such row.

        Raises:
          EntityKeyNotDefined: the key attributes are no alternate key of the table.
        """
        records = self._records(row.logical_name)
        if row.id is not None and row.id != EMPTY_GUID:
            id = guid(row.id)
            return id if self._exists(records, id) else None
        key = _key_of(records.table, row.key_attributes)
        columns, values = self._encode(records, dict(row.key_attributes), nulls=False)
        if len(columns) < len(key.columns):
            return None
        condition = " AND ".join(f'"{column}" = ?' for column in columns)
        sql = f'SELECT "{records.table.primary_id_attribute}" FROM "{records.name}" WHERE {condition}'  # noqa: S608
        found = self._store.execute(sql, values).fetchone()
        return found[0] if found else None

    def _resolved(self, reference: EntityReference) -> str:
        if reference.id != EMPTY_GUID or not reference.key_attributes:
            return reference.id
        id = self.resolve_key(reference)
        if id is None:
            raise ObjectDoesNotExist.of(reference.logical_name, str(dict(reference.key_attributes)))
        return id

    def _read(self, records: _TableRecords, id: str, columns: tuple[str, ...] | None) -> Entity:
        try:
            reader = records.readers[columns]
        except KeyError:
            reader = _kept(records.readers, columns, Reader(self._store, records.table, columns))
        row = self._store.execute(
            f'SELECT {", ".join(reader.select)} FROM "{records.name}" WHERE "{records.table.primary_id_attribute}" = ?',  # noqa: S608
            (id,),
        ).fetchone()
        if row is None:
            raise ObjectDoesNotExist.of(records.name, id)
        return reader.read(row)

    def _exists(self, records: _TableRecords, id: str) -> bool:
        sql = f'SELECT 1 FROM "{records.name}" WHERE "{records.table.primary_id_attribute}" = ?'  # noqa: S608
        return self._store.execute(sql, (id,)).fetchone() is not None

    # --- between attributes and SQL -------------------------------------------------------------------------

    def _call(self, user_id: str) -> Call:
        return Call(EntityReference("systemuser", user_id), self._clock.now().replace(microsecond=0))

    def _encode(
        self, records: _TableRecords, attributes: Mapping[str, Any], *, nulls: bool
    ) -> tuple[list[str], list[Any]]:
        columns: list[str] = []
        values: list[Any] = []
        codecs = records.codecs
        for name, value in attributes.items():
            codec = codecs.get(name)
            if codec is None:
                raise AttributeNotFound.named(records.name, name)
            if value is None:
                if nulls:
                    columns.append(name)
                    values.append(None)
                    if codec.table_column:
                        columns.append(codec.table_column)
                        values.append(None)
                continue
            columns.append(name)
            values.append(codec.encode(value))
            if codec.refers:
                self._check_reference(records, name, value)
                if codec.table_column:
                    columns.append(codec.table_column)
                    values.append(value.logical_name)
        return columns, values

    def _check_reference(self, records: _TableRecords, column: str, reference: EntityReference) -> None:
        target = self._records(reference.logical_name)
        if not self._exists(target, reference.id):
            raise ObjectDoesNotExist.of(target.name, reference.id)

    def _check_version(self, records: _TableRecords, id: str, expected: str | None) -> None:
        row = self._store.execute(
            f'SELECT versionnumber FROM "{records.name}" WHERE "{records.table.primary_id_attribute}" = ?',  # noqa: S608
            (id,),
        ).fetchone()
        if row is None:
            raise ObjectDoesNotExist.of(records.name, id)
        if expected is not None and expected.removeprefix("W/").strip('"') != str(row[0]):
            raise ConcurrencyVersionMismatch

    def _write(self, records: _TableRecords, sql: str, values: list[Any]) -> sqlite3.Cursor:
        try:
            cursor = self._store.execute(sql, values)
        except sqlite3.IntegrityError as error:
            _refuse_duplicate(records.table, error)
        if records.name in KEPT_TABLES:
            self._store.generation += 1
        return cursor


_CASCADE_ORDER = (CascadeDelete.RESTRICT, CascadeDelete.CASCADE, CascadeDelete.REMOVE_LINK, CascadeDelete.NO_CASCADE)


def _kept(kept: dict[Any, Any], key: Any, made: Any) -> Any:
    """Keep what was made, but not without end: column sets come from requests."""
    if len(kept) >= _STATEMENTS_KEPT:
        kept.clear()
    kept[key] = made
    return made


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
        raise DuplicateRecord(_DUPLICATE_ID) from error
    for key in table.keys:
        if list(key.columns) == columns:
            raise DuplicateRecordEntityKey.of(key.schema_name, key.columns) from error
    raise OrganizationServiceFault(str(error)) from error
