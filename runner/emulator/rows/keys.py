"""Finds rows by alternate key, and reports which key of a row is already taken.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/define-alternate-keys-entity
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, NoReturn

from runner.emulator.errors import (
    DuplicateRecord,
    DuplicateRecordEntityKey,
    EntityKeyNotDefined,
    OrganizationServiceFault,
)
from runner.emulator.metadata.model import AlternateKey, Table
from runner.emulator.rows.table_records import TableRecords
from runner.emulator.storage.layout import key_sql
from runner.emulator.storage.store import Store
from runner.emulator.storage.text import fold


def id_by_key(store: Store, table: TableRecords, attributes: Mapping[str, Any]) -> str | None:
    """The id of the row with these key attributes; None when there is none.

    Raises:
      EntityKeyNotDefined: they are not an alternate key of the table.
      InvalidArgument: (one of its kinds) a value does not fit its column.
    """
    key = _key_of(table.table, attributes)
    if any(attributes[column] is None for column in key.columns):
        return None  # null identifies no row
    values = [_key_value(table, column, attributes[column]) for column in key.columns]
    condition = " AND ".join(f"{key_sql(table.table, column)} = ?" for column in key.columns)
    sql = f'SELECT "{table.table.primary_id_attribute}" FROM "{table.name}" WHERE {condition}'  # noqa: S608
    found = store.execute(sql, values).fetchone()
    return found[0] if found else None


def _key_value(table: TableRecords, column: str, value: Any) -> Any:
    stored = table.codecs[column].encode(value)
    return fold(stored) if isinstance(stored, str) and table.table.columns[column].is_text else stored


def _key_of(table: Table, attributes: Mapping[str, Any]) -> AlternateKey:
    for key in table.keys:
        if not key.has_failed and set(key.columns) == attributes.keys():
            return key
    raise EntityKeyNotDefined.of(table.logical_name, attributes)


def refuse_duplicate(table: Table, error: sqlite3.IntegrityError) -> NoReturn:
    """Raise the error for a taken id or key.

    SQLite names the columns, ``UNIQUE constraint failed: t.a, t.b``, or the index when it holds an expression.
    """
    violated = str(error).partition(": ")[2]
    if violated == f"{table.logical_name}.{table.primary_id_attribute}":
        raise DuplicateRecord("A record with matching key values already exists.") from error
    for key in table.keys:
        columns = ", ".join(f"{table.logical_name}.{column}" for column in key.columns)
        if violated in (columns, f"index '{table.logical_name}.{key.logical_name}'"):
            raise DuplicateRecordEntityKey.of(key.schema_name, key.columns) from error
    raise OrganizationServiceFault(f"{table.logical_name}: {error}") from error
