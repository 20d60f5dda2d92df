"""The messages that upload, download and delete the file of a file column.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-column-data
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from dataverse_client.types import Entity, EntityReference, new_guid
from runner.emulator.call import Call
from runner.emulator.errors import (
    AttachmentFileSizeTooBig,
    AttributeNotFound,
    EntityNotFound,
    InvalidArgument,
    ObjectDoesNotExist,
)
from runner.emulator.messages.allowed_files import refuse_extension, refuse_mime_type
from runner.emulator.messages.environment import Environment, Handler
from runner.emulator.messages.parameters import parameter, several
from runner.emulator.messages.targets import resolved, table_for
from runner.emulator.metadata.file_attachments import FILE_ATTACHMENT
from runner.emulator.metadata.model import Column
from runner.emulator.pipeline.operation import NO_ENTITY, Operation
from runner.emulator.storage.file_blocks import (
    Upload,
    begin_upload,
    commit_upload,
    find_upload,
    read_file,
    write_block,
)

#: The greatest block, in bytes, and the greatest id of a block before it is encoded.
MAX_BLOCK = 4 * 1024 * 1024
_MAX_BLOCK_ID = 64


def _initialize_upload(engine: Environment, operation: Operation) -> dict[str, Any]:
    row, column = _place(engine, operation)
    name = parameter(operation.parameters, "FileName", str)
    refuse_extension(engine, name)
    engine.records.must_exist(row)
    token = new_guid()
    begin_upload(engine.store, token, row, column.logical_name, name, engine.clock.now())
    return {"FileContinuationToken": token}


def _upload_block(engine: Environment, operation: Operation) -> dict[str, Any]:
    upload = _upload(engine, operation)
    block, data = parameter(operation.parameters, "BlockId", str), parameter(operation.parameters, "BlockData", bytes)
    _refuse_block_id(block, upload.blocks)
    if len(data) > MAX_BLOCK:
        raise InvalidArgument(f"Parameter 'BlockData' has {len(data)} bytes. Send blocks of {MAX_BLOCK} bytes or less.")
    write_block(engine.store, upload.file_id, block, data)
    return {}


def _refuse_block_id(block: str, others: Collection[str]) -> None:
    try:
        size = len(b64decode(block, validate=True))
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"Parameter 'BlockId' is {block!r}; it must be Base64.") from None
    if not 0 < size <= _MAX_BLOCK_ID:
        raise InvalidArgument(f"Parameter 'BlockId' stands for {size} bytes; it must be 1 to {_MAX_BLOCK_ID}.")
    if any(len(other) != len(block) for other in others):
        raise InvalidArgument("Parameter 'BlockId' must have the same length for all blocks of a file.")


def _commit_upload(engine: Environment, operation: Operation) -> dict[str, Any]:
    upload, parameters = _upload(engine, operation), operation.parameters
    name, mime_type = parameter(parameters, "FileName", str), parameter(parameters, "MimeType", str)
    refuse_extension(engine, name)
    refuse_mime_type(engine, mime_type)
    blocks = several(parameters, "BlockList", str)
    for block in blocks:
        if block not in upload.blocks:
            raise InvalidArgument(f"Parameter 'BlockList' names {block!r}, which was not uploaded.")
    refuse_too_big(_column(engine, upload.row.logical_name, upload.column), sum(upload.blocks[each] for each in blocks))
    size = commit_upload(engine.store, upload, blocks)
    _describe(engine, upload, {"filename": name, "mimetype": mime_type, "filesizeinbytes": size}, operation)
    _set(engine, operation, upload.row, upload.column, upload.file_id)
    return {"FileId": upload.file_id, "FileSizeInBytes": size}


def _describe(engine: Environment, upload: Upload, facts: dict[str, Any], operation: Operation) -> None:
    """Create the file's row in ``fileattachment``."""
    place = {
        "createdon": engine.clock.now(),
        "objectid": upload.row,
        "objecttypecode": upload.row.logical_name,
        "regardingfieldname": upload.column,
    }
    engine.records.create(Entity(FILE_ATTACHMENT, upload.file_id, {**facts, **place}), operation.call.user_id)


def _set(engine: Environment, operation: Operation, row: EntityReference, column: str, file_id: str | None) -> None:
    """Set the file column, with the steps of Update."""
    behalf = operation.call.on_behalf_of(operation.message, operation.parameters, row)
    engine.perform(behalf, "Update", {"Target": Entity(row.logical_name, row.id, {column: file_id})})


def _initialize_download(engine: Environment, operation: Operation) -> dict[str, Any]:
    row, column = _place(engine, operation)
    file_id = engine.records.retrieve(row, (column.logical_name,), formatted=False).get(column.logical_name)
    if file_id is None:
        raise ObjectDoesNotExist(f"No file attachment found for attribute: {column.logical_name} EntityId: {row.id}.")
    file = _file(engine, file_id)
    return {
        "FileContinuationToken": file_id,
        "FileName": file.get("filename"),
        "FileSizeInBytes": file["filesizeinbytes"],
        "IsChunkingSupported": True,
    }


def _download_block(engine: Environment, operation: Operation) -> dict[str, Any]:
    offset, length = (parameter(operation.parameters, name, int) for name in ("Offset", "BlockLength"))
    if offset < 0 or length < 0:
        raise InvalidArgument(f"Parameters 'Offset' ({offset}) and 'BlockLength' ({length}) must be 0 or greater.")
    file = _file(engine, parameter(operation.parameters, "FileContinuationToken", str))
    size = file["filesizeinbytes"]
    return {"Data": read_file(engine.store, file.id or "", min(offset, size), min(length, size))}


def _delete_file(engine: Environment, operation: Operation) -> dict[str, Any]:
    file = _file(engine, parameter(operation.parameters, "FileId", str))
    _set(engine, operation, file["objectid"], file["regardingfieldname"], None)
    return {}


def _file(engine: Environment, id: str) -> Entity:
    """The file's row in ``fileattachment``. Raises ObjectDoesNotExist."""
    return engine.records.retrieve(resolved(engine, EntityReference(FILE_ATTACHMENT, id)), formatted=False)


def _place(engine: Environment, operation: Operation) -> tuple[EntityReference, Column]:
    """The row and the file column that a request is about."""
    row = resolved(engine, parameter(operation.parameters, "Target", EntityReference))
    table_for(engine, operation.message, row.logical_name)
    return row, _column(engine, row.logical_name, parameter(operation.parameters, "FileAttributeName", str))


def _column(engine: Environment, table: str, name: str) -> Column:
    found = engine.store.metadata.tables.get(table)
    if found is None:
        raise EntityNotFound.named(table)
    column = found.columns.get(name)
    if column is None:
        raise AttributeNotFound.named(table, name, found.columns)
    if column.max_size_in_kb is None:
        raise InvalidArgument(f"'{name}' of '{table}' is {column.type}. Only a file column holds a file.")
    return column


def _upload(engine: Environment, operation: Operation) -> Upload:
    token = parameter(operation.parameters, "FileContinuationToken", str)
    upload = find_upload(engine.store, token)
    if upload is None:
        raise InvalidArgument(
            f"The FileContinuationToken {token!r} belongs to no upload: it was committed, or discarded after a week. "
            "Begin with InitializeFileBlocksUpload."
        )
    return upload


def refuse_too_big(column: Column, size: int) -> None:
    """Raises AttachmentFileSizeTooBig when the column does not take a file of ``size`` bytes."""
    if size > (column.max_size_in_kb or 0) * 1024:
        raise AttachmentFileSizeTooBig


_WRITES: dict[str, Callable[[Environment, Operation], dict[str, Any]]] = {
    "InitializeFileBlocksUpload": _initialize_upload,
    "UploadBlock": _upload_block,
    "CommitFileBlocksUpload": _commit_upload,
    "DeleteFile": _delete_file,
}
_READS: dict[str, Callable[[Environment, Operation], dict[str, Any]]] = {
    "InitializeFileBlocksDownload": _initialize_download,
    "DownloadBlock": _download_block,
}


def _perform(name: str, engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    main = partial({**_WRITES, **_READS}[name], engine)
    return engine.pipe(Operation(name, NO_ENTITY, call, parameters, main, reads=name in _READS))


FILE_MESSAGES: tuple[tuple[str, Handler], ...] = tuple((name, partial(_perform, name)) for name in (*_WRITES, *_READS))
