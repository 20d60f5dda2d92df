"""Caches what is made once for each table: its rules, formats and SQL statements.

Statements are cached by shape: the names of a request's columns, in order, which similar requests share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias, TypeVar

from dataverse_client.types import EntityReference
from runner.emulator.errors import AttributeNotFound, EntityNotFound
from runner.emulator.metadata.model import Table
from runner.emulator.query.reader import Reader
from runner.emulator.rows.facts import KEPT_TABLES, Currency, Facts
from runner.emulator.rows.formats import Formats
from runner.emulator.rows.new_images import NewImages
from runner.emulator.rows.refused_messages import refused_messages
from runner.emulator.rows.rules import Rules
from runner.emulator.storage.sequential_guids import sequential_guids
from runner.emulator.storage.store import Store
from runner.emulator.storage.values import Encode

_Shape: TypeAlias = "tuple[str, ...]"
K = TypeVar("K")
T = TypeVar("T")

_SHAPES_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Write:
    """An INSERT or UPDATE of one shape.

    Its parameters are the columns, the tables of lookups, the system columns, and those that the method that made it
    names.
    """

    sql: str
    encoders: Mapping[str, Encode]
    #: The positions of lookups whose table is also stored, and of those that must refer to an existing row.
    typed: tuple[int, ...]
    checked: tuple[int, ...]

    def parameters(self, attributes: Mapping[str, Any]) -> list[Any]:
        """The stored values. Raises InvalidArgument (one of its kinds) for a value that does not fit its column."""
        encoders, stored = self.encoders, []
        for name, value in attributes.items():
            stored.append(None if value is None else encoders[name](value))
        if self.typed:
            values = list(attributes.values())
            stored += [None if values[i] is None else values[i].logical_name for i in self.typed]
        return stored

    def references(self, attributes: Mapping[str, Any]) -> list[EntityReference]:
        """The rows that must exist."""
        values = list(attributes.values())
        return [values[i] for i in self.checked if values[i] is not None]


@dataclass(frozen=True, slots=True)
class SystemColumns:
    """The stored values of the columns that the platform sets, the same for all writes of one user in one second."""

    attributes: Mapping[str, Any]
    columns: tuple[str, ...]
    stored: list[Any]
    #: The statements that write these columns, by the shape of the request.
    writes: dict[_Shape, Write]


class TableRecords:
    """The rules, formats and statements of one table."""

    def __init__(self, store: Store, table: Table, facts: Facts, ids: Iterator[str]) -> None:
        name, id = table.logical_name, table.primary_id_attribute
        self.table = table
        self.name = name
        self.codecs = store.codecs[name]
        self.rules = Rules(table, facts, ids)
        self.formats = Formats(table, facts)
        self.new_images = NewImages(store, table, self.formats)
        self.versioned = "versionnumber" in table.columns
        version = "versionnumber" if self.versioned else "NULL"
        self.version_sql = f'SELECT {version} FROM "{name}" WHERE "{id}" = ?'  # noqa: S608 - names of metadata
        self.delete_sql = f'DELETE FROM "{name}" WHERE "{id}" = ?'  # noqa: S608
        self.is_kept = name in KEPT_TABLES
        self.refused_messages = refused_messages(table)
        self.file_columns = table.file_columns
        tree = store.metadata.hierarchy(name)
        #: The lookup to the parent row, if the table has a hierarchy.
        self.parent_column = tree.referencing_attribute if tree else None
        self._store = store
        # The rules have already validated the id.
        self._encoders: dict[str, Encode] = {**{name: each.encode for name, each in self.codecs.items()}, id: str}
        self._inserts: dict[_Shape, dict[_Shape, Write]] = {}
        self._updates: dict[_Shape, dict[_Shape, Write]] = {}
        self._created = self._modified = _NOTHING_YET
        #: For changes that do not set modifiedby and modifiedon.
        self.unsigned = self._system_columns({}, self._updates)
        self._reads: dict[tuple[str, ...] | None, tuple[str, Reader]] = {}

    def creation(
        self, requested: dict[str, Any], user: EntityReference, now: datetime, currency: Currency | None
    ) -> SystemColumns:
        """The system columns of a new row. ``requested`` are the request's values for them."""
        if requested:
            return self._created_columns(self.rules.creation_columns(requested, user, now, currency))
        made_from = (user, now, currency, self._store.generation)
        if self._created[0] != made_from:
            self._created = (made_from, self._created_columns(self.rules.creation_columns({}, user, now, currency)))
        return self._created[1]

    def _created_columns(self, attributes: dict[str, Any]) -> SystemColumns:
        """The system columns that have a value. Leaving out the others is faster, as sqlite3 is slow to bind None."""
        written = {name: value for name, value in attributes.items() if value is not None}
        return replace(self._system_columns(written, self._inserts), attributes=attributes)

    def modification(self, user: EntityReference, now: datetime) -> SystemColumns:
        """The system columns of a changed row."""
        made_from = (user, now)
        if self._modified[0] != made_from:
            columns = self.rules.modification_columns(user, now)
            self._modified = (made_from, self._system_columns(columns, self._updates))
        return self._modified[1]

    def _system_columns(
        self, attributes: dict[str, Any], statements: dict[_Shape, dict[_Shape, Write]]
    ) -> SystemColumns:
        shape = tuple(attributes)
        stored = self._write("", shape).parameters(attributes)
        columns = self._stored_columns(shape)
        return SystemColumns(attributes, columns, stored, statements.setdefault(columns, {}))

    def insert(self, attributes: Mapping[str, Any], system: SystemColumns) -> Write:
        """The INSERT. Its last parameter is the row version. Raises AttributeNotFound."""
        shape = tuple(attributes)
        return system.writes.get(shape) or _kept(system.writes, shape, partial(self._insert, system.columns))

    def update(self, attributes: Mapping[str, Any], system: SystemColumns) -> Write:
        """The UPDATE. Its last parameters are the row version and the id. Raises AttributeNotFound."""
        return _kept(system.writes, tuple(attributes), partial(self._update, system.columns))

    def read(self, columns: tuple[str, ...] | None) -> tuple[str, Reader]:
        """The SELECT of one row by id, and the reader of its result. Raises AttributeNotFound."""
        return _kept(self._reads, columns, self._read)

    def _insert(self, system: _Shape, shape: _Shape) -> Write:
        columns = self._written(shape, system)
        names = ", ".join(f'"{column}"' for column in columns)
        marks = ", ".join("?" * len(columns))
        return self._write(f'INSERT INTO "{self.name}" ({names}) VALUES ({marks})', shape)  # noqa: S608

    def _update(self, system: _Shape, shape: _Shape) -> Write:
        changes = ", ".join(f'"{column}" = ?' for column in self._written(shape, system))
        sql = f'UPDATE "{self.name}" SET {changes} WHERE "{self.table.primary_id_attribute}" = ?'  # noqa: S608
        return self._write(sql, shape)

    def _read(self, columns: tuple[str, ...] | None) -> tuple[str, Reader]:
        reader = Reader(self._store, self.table, columns)
        selected = ", ".join(reader.select)
        return f'SELECT {selected} FROM "{self.name}" WHERE "{self.table.primary_id_attribute}" = ?', reader  # noqa: S608

    def _written(self, shape: _Shape, system: _Shape) -> list[str]:
        return [*self._stored_columns(shape), *system, *(["versionnumber"] if self.versioned else [])]

    def _stored_columns(self, shape: tuple[str, ...]) -> tuple[str, ...]:
        """The columns in SQLite, in the order of :meth:`Write.parameters`."""
        for column in shape:
            if column not in self.codecs:
                raise AttributeNotFound.named(self.name, column, self.codecs)
        return (*shape, *(table for column in shape if (table := self.codecs[column].table_column)))

    def _write(self, sql: str, shape: tuple[str, ...]) -> Write:
        return Write(
            sql,
            self._encoders,
            tuple(position for position, column in enumerate(shape) if self.codecs[column].table_column),
            tuple(position for position, column in enumerate(shape) if column in self.rules.checked_lookups),
        )


class Tables(dict[str, TableRecords]):
    """The tables of one environment by logical name, each made on first use.

    Raises:
      EntityNotFound: there is no such table.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._facts = Facts(store)
        self._ids = sequential_guids()

    def __missing__(self, logical_name: str) -> TableRecords:
        table = self._store.metadata.tables.get(logical_name)
        if table is None:
            raise EntityNotFound.named(logical_name, self._store.metadata.tables)
        made = self[logical_name] = TableRecords(self._store, table, self._facts, self._ids)
        return made


#: The system columns made last, and the values they were made from.
_NOTHING_YET: tuple[tuple[Any, ...], SystemColumns] = ((), SystemColumns({}, (), [], {}))


def _kept(kept: dict[K, T], key: K, make: Callable[[K], T]) -> T:
    """The cached value for ``key``, made if it is missing. The cache is limited, as shapes come from requests."""
    known = kept.get(key)
    if known is not None:
        return known
    if len(kept) >= _SHAPES_KEPT:
        kept.clear()
    made = kept[key] = make(key)
    return made
