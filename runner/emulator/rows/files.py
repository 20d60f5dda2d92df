"""Keeps a row's files in step with the row: what its file columns name, and what ``fileattachment`` holds.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-column-data
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.emulator.errors import InvalidArgument
from runner.emulator.metadata.companions import file_name_column
from runner.emulator.storage.file_blocks import delete_files
from runner.emulator.storage.store import Store


def follow_columns(store: Store, table: str, id: str, attributes: dict[str, Any], columns: Iterable[str]) -> None:
    """Name the new files of a row that is being updated, and delete the files that ``columns`` held before.

    Raises:
      InvalidArgument: a column is set to anything but null, or a file that was uploaded for it.
    """
    for column in columns:
        given = attributes[column]
        file_id = attributes[column] = None if given is None else str(given).lower()
        attributes[file_name_column(column)] = None if file_id is None else _name(store, table, id, column, file_id)
        replaced = "objectid = ? AND objecttypecode = ? AND regardingfieldname = ? AND fileattachmentid IS NOT ?"
        _delete(store, replaced, (id, table, column, file_id))


def _name(store: Store, table: str, id: str, column: str, file_id: str) -> str | None:
    sql = (
        "SELECT filename FROM fileattachment "
        "WHERE fileattachmentid = ? AND objecttypecode = ? AND objectid = ? AND regardingfieldname = ?"
    )
    found = store.execute(sql, (file_id, table, id, column)).fetchone()
    if found is None:
        raise not_settable(table, column)
    name: str | None = found[0]
    return name


def delete_files_of_row(store: Store, table: str, id: str) -> None:
    """Delete all files of a row."""
    _delete(store, "objectid = ? AND objecttypecode = ?", (id, table))


def delete_files_of_column(store: Store, table: str, column: str) -> None:
    """Delete the files in that column of all rows."""
    _delete(store, "objecttypecode = ? AND regardingfieldname = ?", (table, column))


def _delete(store: Store, condition: str, parameters: tuple[Any, ...]) -> None:
    deleted = f"DELETE FROM fileattachment WHERE {condition} RETURNING fileattachmentid"  # noqa: S608 - ours
    delete_files(store, [row[0] for row in store.execute(deleted, parameters).fetchall()])


def not_settable(table: str, column: str) -> InvalidArgument:
    return InvalidArgument(
        f"'{column}' of '{table}' is a file column, whose value cannot be set. Create the row without it; then upload "
        "the file, or set the column to null to delete the file."
    )
