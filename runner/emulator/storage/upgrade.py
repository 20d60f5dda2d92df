"""Upgrades a file of rows that an earlier version wrote, when it is opened.

SQLite's ``user_version`` tells the form of a file. It changes last, so an interrupted upgrade starts again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.emulator.metadata.model import AttributeType, Metadata

#: The form this version writes. Form 0 had no number: its indexes told accents and spaces at the end apart, and the
#: columns that are now moments held dates.
FORM = 1

_Execute = Callable[..., Any]


class DatabaseFormError(Exception):
    """The file cannot be used by this version. The message says what to do."""

    exit_code = 2

    @classmethod
    def of(cls, path: Path | None, error: sqlite3.Error) -> DatabaseFormError:
        """The error for a file that SQLite refuses, or whose rows violate a unique index."""
        if isinstance(error, sqlite3.IntegrityError):
            return cls(
                f"{path} holds rows that an alternate key forbids ({error}): case, accents and spaces at the end do "
                "not tell rows apart. Change one of them with the version that wrote the file, or use another file."
            )
        return cls(
            f"{path} cannot be used: {error}. Make sure that an embedded Dataverse wrote it and that "
            "you may write to it, or use another file."
        )


def begin_upgrade(execute: _Execute, path: Path | None) -> bool:
    """Whether the file has an earlier form; its indexes are then dropped, to be created as they are now.

    Raises:
      DatabaseFormError: a later version wrote the file.
    """
    form: int = execute("PRAGMA user_version").fetchone()[0]
    if form > FORM:
        raise DatabaseFormError(
            f"{path} was written by a later version (form {form}, known: {FORM}). Use that version, or another file."
        )
    if execute("SELECT 1 FROM sqlite_master").fetchone() is None:
        execute(f"PRAGMA user_version = {FORM}")
        return False
    if form == FORM:
        return False
    for (index,) in execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall():
        execute(f'DROP INDEX "{index}"')
    return True


def finish_upgrade(execute: _Execute, metadata: Metadata) -> None:
    """Correct the dates and moments of all rows, and number the form."""
    for table in metadata.tables.values():
        for column in table.columns.values():
            if column.type is AttributeType.DATE_TIME:
                name = f'"{column.logical_name}"'
                stored = f"substr({name}, 1, 10)" if column.date_only else f"{name} || 'T00:00:00Z'"
                misfit = f"length({name}) {'>' if column.date_only else '='} 10"
                execute(f'UPDATE "{table.logical_name}" SET {name} = {stored} WHERE {misfit}')  # noqa: S608 - names of metadata
    execute(f"PRAGMA user_version = {FORM}")
