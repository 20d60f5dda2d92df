"""Stores rows in SQLite, with tables made from the metadata and one transaction at a time.

Source (row versions): https://learn.microsoft.com/power-apps/developer/data-platform/optimistic-concurrency
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from runner.emulator.metadata.model import Column, Metadata, Table
from runner.emulator.storage.layout import OWN_TABLES, definition, indexes, key_sql
from runner.emulator.storage.text import fold, matches
from runner.emulator.storage.upgrade import DatabaseFormError, begin_upgrade
from runner.emulator.storage.values import Codec, codec

#: How many row versions are reserved on disk at a time; they are then used from memory.
_VERSIONS_AT_ONCE = 1000
_STATEMENTS_KEPT = 1024


class Store:
    """The database of one environment, in memory or in a file. One thread at a time may use it.

    A file survives a crash of the process. Without ``durable``, a power cut may lose the last changes.
    """

    def __init__(self, metadata: Metadata, path: Path | None = None, *, durable: bool = True) -> None:
        """Raises DatabaseFormError when the file cannot be used."""
        self.metadata = metadata
        self.path = path
        #: Whether the rows are in a file.
        self.is_durable = durable and path is not None
        self._connect()
        self._version = 0
        self._last_reserved = 0
        self.codecs: dict[str, Mapping[str, Codec]] = {}
        #: The last number of each autonumber column, which a rollback does not undo.
        self.last_numbers: dict[str, int] = {}
        #: Whether an earlier version wrote the file, and ``runner.emulator.storage.upgrade`` has more to do.
        self.is_outdated = self._open(metadata, "NORMAL" if durable else "OFF")
        #: The greatest committed row version; rows not committed yet have greater ones.
        self.committed_version = self.version

    def _open(self, metadata: Metadata, synchronous: str) -> bool:
        """Create what is missing in the database. Returns whether an earlier version wrote it."""
        try:
            if self.path is not None:
                self._connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};")
            with self._connection:
                self.begin()
                is_outdated = begin_upgrade(self.execute, self.path)
                for statement in OWN_TABLES:
                    self.execute(statement)
                for table, column in self.use(metadata):
                    self._fill(table, column)
        except sqlite3.DatabaseError as error:
            self.close()
            raise DatabaseFormError.of(self.path, error) from error
        except BaseException:
            self.close()
            raise
        return is_outdated

    def _fill(self, table: Table, column: Column) -> None:
        """Give all rows the default of a column that earlier versions did not have."""
        if column.default_value is not None:
            self.execute(
                f'UPDATE "{table.logical_name}" SET "{column.logical_name}" = ?',  # noqa: S608 - names of metadata
                (column.default_value,),
            )

    def _connect(self) -> None:
        self._connection = sqlite3.connect(
            self.path or ":memory:", isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS_KEPT
        )
        # Some builds of SQLite overwrite what is deleted, at the cost of writing a deleted file once more.
        self._connection.execute("PRAGMA secure_delete = FAST")
        self._connection.create_function("fold", 1, fold, deterministic=True)
        self._connection.create_function("matches", 2, matches, deterministic=True)
        self.execute = self._connection.execute
        #: Executes statements that return no rows, and so need no cursor of their own.
        cursor = self._connection.cursor()
        self.write = cursor.execute
        #: Executes one statement with many sets of parameters.
        self.write_many = cursor.executemany
        #: Whether no other connection can read the rows.
        self.is_private = self.path is None
        #: Is increased when rows that may be cached have changed.
        self.generation = 0

    def use(self, metadata: Metadata) -> list[tuple[Table, Column]]:
        """Create the tables and columns of ``metadata`` that do not exist yet. Returns the columns new in tables."""
        self.metadata = metadata
        added: list[tuple[Table, Column]] = []
        for table in metadata.tables.values():
            self.codecs[table.logical_name] = {
                column.logical_name: codec(table.logical_name, column) for column in table.columns.values()
            }
            added += self._make_table(table)
        return added

    def customizations(self) -> list[tuple[str, str]]:
        """The descriptions that :meth:`write_customization` stored, in the order they were first written."""
        self.execute('CREATE TABLE IF NOT EXISTS "customization" (name TEXT PRIMARY KEY, description TEXT NOT NULL)')
        rows: list[tuple[str, str]] = self.execute(
            'SELECT name, description FROM "customization" ORDER BY rowid'
        ).fetchall()
        return rows

    def write_customization(self, name: str, description: str | None) -> None:
        """Store the description of a table's customization; None deletes it."""
        if description is None:
            self.execute('DELETE FROM "customization" WHERE name = ?', (name,))
            return
        self.execute(
            'INSERT INTO "customization" VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET description = ?2',
            (name, description),
        )

    def drop_table(self, name: str) -> None:
        self.execute(f'DROP TABLE "{name}"')
        self.execute("DELETE FROM deleted_row WHERE table_name = ?", (name,))

    def drop_column(self, table: Table, column: Column) -> None:
        name = table.logical_name
        self.execute(f'DROP INDEX IF EXISTS "{name}.{column.logical_name}"')
        self.execute(f'ALTER TABLE "{name}" DROP COLUMN "{column.logical_name}"')
        companion = self.codecs[name][column.logical_name].table_column
        if companion is not None:
            self.execute(f'ALTER TABLE "{name}" DROP COLUMN "{companion}"')

    def drop_times(self, table: str, column: Column) -> None:
        """Keep the dates of the column's moments, without their times."""
        name = column.logical_name
        self.execute(f'UPDATE "{table}" SET "{name}" = substr("{name}", 1, 10)')  # noqa: S608 - names of metadata

    def index_versions(self, table: str) -> None:
        self.execute(f'CREATE INDEX IF NOT EXISTS "{table}.versionnumber" ON "{table}" (versionnumber)')

    def drop_key(self, table: str, key: str) -> None:
        self.execute(f'DROP INDEX IF EXISTS "{table}.{key}"')

    def holds_twice(self, table: Table, columns: Sequence[str]) -> bool:
        """Whether two rows have the same values in all of the columns."""
        names = [key_sql(table, column) for column in columns]
        filled = " AND ".join(f"{name} IS NOT NULL" for name in names)
        grouped = f'SELECT 1 FROM "{table.logical_name}" WHERE {filled} GROUP BY {", ".join(names)}'  # noqa: S608 - names of metadata
        return self.execute(f"{grouped} HAVING COUNT(*) > 1 LIMIT 1").fetchone() is not None

    def _make_table(self, table: Table) -> list[tuple[Table, Column]]:
        name = table.logical_name
        present = {row[1] for row in self.execute(f'PRAGMA table_xinfo("{name}")')}
        wanted = dict(self._definitions(table))
        if not present:
            self.execute(f'CREATE TABLE "{name}" ({", ".join(wanted.values())}) STRICT')
            missing: Collection[str] = ()
        else:
            missing = [column for column in wanted if column not in present]
            for column in missing:
                self.execute(f'ALTER TABLE "{name}" ADD COLUMN {wanted[column]}')
        for statement in indexes(table):
            self.execute(statement)
        return [(table, column) for each, column in table.columns.items() if each in missing]

    def _definitions(self, table: Table) -> Iterator[tuple[str, str]]:
        """The column names with their SQL, including the second column of a lookup."""
        for column in table.columns.values():
            column_codec = self.codecs[table.logical_name][column.logical_name]
            yield column.logical_name, definition(table, column, column_codec)
            if column_codec.table_column:
                yield column_codec.table_column, f'"{column_codec.table_column}" TEXT'

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def begin(self) -> None:
        self.write("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.write("COMMIT")
        self.committed_version = self._version or self.committed_version

    def rollback(self) -> None:
        self.write("ROLLBACK")
        self._forget()

    def _forget(self) -> None:
        # The rollback may have undone the reservation of row versions.
        self._last_reserved = 0
        self.generation += 1

    @property
    def version(self) -> int:
        """The greatest row version so far. Later changes have greater ones."""
        if self._version:
            return self._version
        row = self.execute("SELECT last FROM row_version").fetchone()
        return row[0] if row else 0

    def next_version(self) -> int:
        """A row version greater than all before. A rollback does not undo that."""
        if self._version >= self._last_reserved:
            self._reserve()
        self._version += 1
        return self._version

    def _reserve(self) -> None:
        row = self.execute("SELECT last FROM row_version").fetchone()
        if row is None:
            self.execute("INSERT INTO row_version VALUES (0)")
        self._version = max(self._version, row[0] if row else 0)
        self._last_reserved = self._version + _VERSIONS_AT_ONCE
        self.execute("UPDATE row_version SET last = ?", (self._last_reserved,))

    def snapshot(self) -> sqlite3.Connection:
        """A copy of everything, for :meth:`restore`."""
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        self._connection.backup(copy)
        return copy

    def restore(self, snapshot: sqlite3.Connection) -> None:
        """Restore a snapshot. Row versions used since then are not used again."""
        snapshot.backup(self._connection)
        self.last_numbers.clear()
        self._forget()

    def close(self) -> None:
        self._connection.close()


class CommittedStore(Store):
    """Read-only access to the committed rows of a store in a file, by a connection of its own.

    Source: https://www.sqlite.org/isolation.html
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.metadata = store.metadata
        self.codecs = store.codecs
        self.path = store.path
        self._connect()
        self.execute("PRAGMA query_only = ON")
        #: Held while the rows are read, or must not be read.
        self.lock = RLock()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Within the block, rows and metadata are those last committed before it. Other threads wait."""
        with self.lock:
            self.write("BEGIN")
            try:
                self.generation = self.execute("PRAGMA data_version").fetchone()[0]
                self.metadata = self._store.metadata
                yield
            finally:
                self.write("COMMIT")

    @property
    def version(self) -> int:
        return self._store.committed_version
