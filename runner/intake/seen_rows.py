"""What polling has seen: each row as it was, and how far each table was read. Survives kill -9."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

from dataverse_client import exact_json
from dataverse_client.types import Entity
from runner.intake.errors import SeenRowsError
from runner.remote_context.decoding import decode_entity
from runner.remote_context.encoding import encode_entity

#: How long another poller of the file is waited for.
PATIENCE_SECONDS = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS place (table_name TEXT PRIMARY KEY, link TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS organization (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (
  table_name TEXT NOT NULL, id TEXT NOT NULL, round INTEGER NOT NULL, row TEXT NOT NULL,
  PRIMARY KEY (table_name, id)
) WITHOUT ROWID;
"""
_PUT = """
INSERT INTO seen VALUES (?, ?, ?, ?)
ON CONFLICT (table_name, id) DO UPDATE SET round = excluded.round, row = excluded.row
"""


class SeenRows:
    """A file of one poller. ``with seen.saving():`` keeps all that is done inside, or nothing."""

    def __init__(self, path: Path) -> None:
        """Raises SeenRowsError."""
        self._path = path
        with self._named(), ExitStack() as unless_ready:
            self._connection = sqlite3.connect(
                path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
            )
            unless_ready.callback(self._connection.close)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
            unless_ready.pop_all()

    def belong_to(self, organization_id: str) -> None:
        """Keep rows of this organization only: in another, all of them would seem to be deleted.

        Raises SeenRowsError when the file is of another organization.
        """
        with self.saving():
            known = self._connection.execute("SELECT id FROM organization").fetchone()
            if known is None:
                self._connection.execute("INSERT INTO organization VALUES (?)", (organization_id,))
            elif known[0] != organization_id:
                raise SeenRowsError(
                    f"{self._path} keeps what polling has seen of organization {known[0]}, and DATAVERSE_URL leads to "
                    f"{organization_id}. Give each environment a RUNNER_DATA_DIR of its own, or remove the file."
                )

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Raises SeenRowsError: nothing is kept."""
        with self._named():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SeenRowsError(
                f"{self._path}, which keeps what polling has seen, cannot be used: {error}. End any other runner poll "
                "of this directory; a broken file can be removed, and polling then begins anew."
            ) from error

    def link(self, table: str) -> str | None:
        """Where to go on reading; None when the table was never read to its end."""
        found = self._connection.execute("SELECT link FROM place WHERE table_name = ?", (table,)).fetchone()
        return None if found is None else str(found[0])

    def set_link(self, table: str, link: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO place VALUES (?, ?)", (table, link))

    def get(self, table: str, row_id: str) -> Entity | None:
        """The row as it was seen last."""
        found = self._connection.execute(
            "SELECT row FROM seen WHERE table_name = ? AND id = ?", (table, row_id)
        ).fetchone()
        return None if found is None else decode_entity(json.loads(found[0], parse_float=Decimal), table)

    def put(self, row: Entity, round_number: int) -> None:
        text = exact_json.dumps(encode_entity(row)).decode()
        self._connection.execute(_PUT, (row.logical_name, row.id, round_number, text))

    def forget(self, table: str, row_id: str) -> None:
        self._connection.execute("DELETE FROM seen WHERE table_name = ? AND id = ?", (table, row_id))

    def last_round(self, table: str) -> int:
        found = self._connection.execute("SELECT MAX(round) FROM seen WHERE table_name = ?", (table,)).fetchone()
        return int(found[0] or 0)

    def missing_since(self, table: str, round_number: int) -> list[str]:
        """Ids of the rows that a reading of all rows did not meet."""
        found = self._connection.execute(
            "SELECT id FROM seen WHERE table_name = ? AND round < ?", (table, round_number)
        )
        return [str(row_id) for (row_id,) in found]

    def close(self) -> None:
        self._connection.close()
