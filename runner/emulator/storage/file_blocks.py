"""Stores the contents of files in blocks, beside the tables of rows, and the uploads that have not been committed.

An upload has the id of the file it becomes, so that a commit moves no data.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-column-data
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dataverse_client.types import EntityReference
from runner.emulator.storage.store import Store

#: Blocks that are never committed are discarded after a week.
#: Source: https://learn.microsoft.com/rest/api/storageservices/put-block
UPLOADS_KEPT = timedelta(weeks=1)

_PARTS = "file_part JOIN file_block USING (file, block)"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is being uploaded for a column of a row. ``blocks`` are the sizes of its blocks, in bytes, by id."""

    file_id: str
    row: EntityReference
    column: str
    file_name: str
    blocks: Mapping[str, int]


def begin_upload(store: Store, file_id: str, row: EntityReference, column: str, file_name: str, now: datetime) -> None:
    """Begin an upload, and discard those that were abandoned long ago."""
    abandoned = "SELECT file FROM file_upload WHERE began < ?"
    store.execute(f"DELETE FROM file_block WHERE file IN ({abandoned})", (_text(now - UPLOADS_KEPT),))  # noqa: S608
    store.execute("DELETE FROM file_upload WHERE began < ?", (_text(now - UPLOADS_KEPT),))
    upload = (file_id, row.logical_name, row.id, column, file_name, _text(now))
    store.execute("INSERT INTO file_upload VALUES (?, ?, ?, ?, ?, ?)", upload)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def find_upload(store: Store, file_id: str) -> Upload | None:
    """The upload, or None when there is none, or it is committed."""
    wanted = "SELECT table_name, id, column_name, file_name FROM file_upload WHERE file = ?"
    found = store.execute(wanted, (file_id,)).fetchone()
    if found is None:
        return None
    table, id, column, file_name = found
    blocks = store.execute("SELECT block, size FROM file_block WHERE file = ? ORDER BY block", (file_id,))
    return Upload(file_id, EntityReference(table, id), column, file_name, dict(blocks.fetchall()))


def write_block(store: Store, file_id: str, block: str, data: bytes) -> None:
    """Store a block, in place of an earlier one with the same id."""
    store.execute("INSERT OR REPLACE INTO file_block VALUES (?, ?, ?, ?)", (file_id, block, len(data), data))


def commit_upload(store: Store, upload: Upload, blocks: Sequence[str]) -> int:
    """Make a file of those blocks, in that order, and discard the others. Returns its size in bytes."""
    start = 0
    for block in blocks:
        if not upload.blocks[block]:
            continue  # it would begin where the next one does
        store.execute("INSERT INTO file_part VALUES (?, ?, ?)", (upload.file_id, start, block))
        start += upload.blocks[block]
    listed = "SELECT block FROM file_part WHERE file = ?1"
    store.execute(f"DELETE FROM file_block WHERE file = ?1 AND block NOT IN ({listed})", (upload.file_id,))  # noqa: S608
    store.execute("DELETE FROM file_upload WHERE file = ?", (upload.file_id,))
    return start


def read_file(store: Store, file_id: str, offset: int, length: int) -> bytes:
    """Bytes of a file: ``length`` at most, from ``offset`` on. Reads only the blocks that hold them."""
    end = offset + length
    parts = store.execute(
        f"SELECT start, data FROM {_PARTS} WHERE file = ? AND start < ? AND start + size > ? ORDER BY start",  # noqa: S608
        (file_id, end, offset),
    )
    return b"".join(data[max(offset - start, 0) : end - start] for start, data in parts)


def delete_files(store: Store, file_ids: Sequence[str]) -> None:
    """Delete the contents of the files."""
    for table in ("file_part", "file_block"):
        store.write_many(f"DELETE FROM {table} WHERE file = ?", [(file_id,) for file_id in file_ids])  # noqa: S608
