"""The SQL of the tables, columns and indexes in which rows are stored."""

from __future__ import annotations

from collections.abc import Iterator

from runner.emulator.metadata.model import Column, Table
from runner.emulator.storage.text import folded
from runner.emulator.storage.values import Codec

#: What is stored beside the rows.
OWN_TABLES = (
    "CREATE TABLE IF NOT EXISTS row_version (last INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS deleted_row "
    "(table_name TEXT, version INTEGER, id TEXT, PRIMARY KEY (table_name, version)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS number_sequence "
    "(name TEXT PRIMARY KEY, seed INTEGER NOT NULL, following INTEGER NOT NULL) WITHOUT ROWID",
    # Uploads, the blocks of files, and the order of the blocks: see runner.emulator.storage.file_blocks.
    "CREATE TABLE IF NOT EXISTS file_upload (file TEXT PRIMARY KEY, table_name TEXT, id TEXT, column_name TEXT, "
    "file_name TEXT, began TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS file_block (file TEXT, block TEXT, size INTEGER NOT NULL, data BLOB NOT NULL, "
    "PRIMARY KEY (file, block))",
    "CREATE TABLE IF NOT EXISTS file_part (file TEXT, start INTEGER, block TEXT, PRIMARY KEY (file, start)) "
    "WITHOUT ROWID",
)


def definition(table: Table, column: Column, column_codec: Codec) -> str:
    name = column.logical_name
    sql = f'"{name}" {column_codec.sql_type}'
    if name == table.primary_id_attribute:
        return f"{sql} PRIMARY KEY NOT NULL"
    if name in ("owninguser", "owningteam") and "ownerid" in table.columns:
        owner = "systemuser" if name == "owninguser" else "team"
        return f"{sql} GENERATED ALWAYS AS (CASE ownerid__table WHEN '{owner}' THEN ownerid END) VIRTUAL"
    return sql


def indexes(table: Table) -> Iterator[str]:
    name = table.logical_name
    for key in table.keys:
        if key.has_failed:
            continue
        columns = ", ".join(key_sql(table, column) for column in key.columns)
        yield f'CREATE UNIQUE INDEX IF NOT EXISTS "{name}.{key.logical_name}" ON "{name}" ({columns})'
    for column in table.columns.values():
        if column.indexed:
            # Every index ends in the rowid, which orders ties. Random ids would touch another page for each insert.
            indexed = key_sql(table, column.logical_name)
            yield f'CREATE INDEX IF NOT EXISTS "{name}.{column.logical_name}" ON "{name}" ({indexed})'


def key_sql(table: Table, column: str) -> str:
    """The SQL that indexes a column: it is the same for values that Dataverse considers equal."""
    return folded(f'"{column}"') if table.columns[column].is_text else f'"{column}"'
