"""Uploads and downloads the file of a file column at the column's own URL, whole or in chunks.

The work is done by the messages of files, so both ways have the same rules.
Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-column-data
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from mimetypes import MimeTypes
from typing import Any, NamedTuple
from urllib.parse import quote

from dataverse_client.types import EntityReference
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.messages.files import MAX_BLOCK, refuse_too_big
from runner.emulator.metadata.file_attachments import FILE_ATTACHMENT
from runner.emulator.metadata.model import Column
from runner.emulator.webapi.exchange import NO_CONTENT, Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.records import refuse_other_version

_ANY_BYTES = "application/octet-stream"
#: The types that Python knows itself: those of the machine would differ from one to the next.
_MIME_TYPES = MimeTypes()
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})\Z", re.ASCII)
#: Clients may add the size, as older pages of Dataverse do.
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))(?:/\d+)?\Z", re.ASCII | re.IGNORECASE)
_CHUNK_SIZE = {"x-ms-chunk-size": str(MAX_BLOCK)}


# --- uploads ---------------------------------------------------------------------------------------------------


def upload(exchange: Exchange, reference: EntityReference, column: Column) -> Response:
    """``PATCH set(id)/column``: the whole file, the beginning of an upload in chunks, or one of its chunks."""
    row = exchange.resolve(reference)
    with exchange.transaction():
        refuse_other_version(exchange, row)
        token = exchange.parameters.get("sessiontoken")
        if token is not None:
            return _upload_chunk(exchange, row, column, token)
        if (exchange.request.header("x-ms-transfer-mode") or "").lower() == "chunked":
            return _begin(exchange, row, column)
        return _upload_whole(exchange, row, column)


def _upload_whole(exchange: Exchange, row: EntityReference, column: Column) -> Response:
    body = exchange.request.body
    refuse_too_big(column, len(body))
    token = _initialize(exchange, row, column)
    _commit(exchange, token, _upload_blocks(exchange, token, 0, body), _file_name(exchange))
    return NO_CONTENT


def _begin(exchange: Exchange, row: EntityReference, column: Column) -> Response:
    token = _initialize(exchange, row, column)
    location = f"{exchange.address.url}?sessiontoken={token}"
    exposed = {"Access-Control-Expose-Headers": "x-ms-chunk-size"}
    return Response(200, {"Location": location, "Accept-Ranges": "bytes", **_CHUNK_SIZE, **exposed})


def _upload_chunk(exchange: Exchange, row: EntityReference, column: Column, token: str) -> Response:
    """Store a chunk. The one that completes the file, whatever their order, commits it."""
    start, size = _content_range(exchange)
    refuse_too_big(column, size)
    _upload_blocks(exchange, token, start, exchange.request.body)
    with exchange.emulator.reading() as rows:
        uploaded = rows.upload(token)
    if uploaded is None or (uploaded.row, uploaded.column) != (row, column.logical_name):
        raise BadRequest("The sessiontoken belongs to another file. Send each chunk to the Location of the first.")
    if sum(uploaded.blocks.values()) < size:
        return Response(206)
    _commit(exchange, token, _in_order(uploaded.blocks), _sent_name(exchange) or uploaded.file_name)
    return NO_CONTENT


def _in_order(blocks: Mapping[str, int]) -> list[str]:
    """The ids of the blocks in the order of the file. Raises BadRequest when they overlap."""
    ordered, end = sorted(blocks, key=_start), 0
    for block in ordered:
        if _start(block) != end:
            raise BadRequest(f"The chunks overlap, or miss bytes, at byte {end}. Send each byte of the file once.")
        end += blocks[block]
    return ordered


def _content_range(exchange: Exchange) -> tuple[int, int]:
    """The first byte of the chunk, and the size of the whole file. Raises BadRequest."""
    header = exchange.request.header("content-range") or ""
    match = _CONTENT_RANGE.match(header.strip())
    start, end, size = map(int, match.groups()) if match else (0, 0, 0)
    if not start <= end < size or end - start + 1 != len(exchange.request.body):
        raise BadRequest(
            f"Content-Range is '{header}', and the body has {len(exchange.request.body)} bytes. Say which bytes of how "
            "many the chunk is, such as 'bytes 0-4194303/25870370'."
        )
    return start, size


def _initialize(exchange: Exchange, row: EntityReference, column: Column) -> str:
    place = {"Target": row, "FileAttributeName": column.logical_name, "FileName": _file_name(exchange)}
    token: str = exchange.execute("InitializeFileBlocksUpload", **place)["FileContinuationToken"]
    return token


def _upload_blocks(exchange: Exchange, token: str, start: int, data: bytes) -> list[str]:
    """Upload the bytes that begin at ``start`` of the file, in blocks. Returns the ids of the blocks."""
    blocks = []
    for offset in range(0, len(data), MAX_BLOCK):
        block = b64encode(f"{start + offset:018}".encode()).decode()
        content = data[offset : offset + MAX_BLOCK]
        exchange.execute("UploadBlock", FileContinuationToken=token, BlockId=block, BlockData=content)
        blocks.append(block)
    return blocks


def _start(block: str) -> int:
    """Where the block begins in the file, which its id stands for."""
    return int(b64decode(block))


def _commit(exchange: Exchange, token: str, blocks: list[str], name: str) -> None:
    facts = {"FileName": name, "MimeType": _mime_type(exchange, name)}
    exchange.execute("CommitFileBlocksUpload", FileContinuationToken=token, BlockList=blocks, **facts)


def _file_name(exchange: Exchange) -> str:
    """The name of the file. Raises BadRequest when there is none."""
    name = _sent_name(exchange)
    if not name:
        raise BadRequest("A file needs a name: send it as the header or the query parameter x-ms-file-name.")
    return name


def _sent_name(exchange: Exchange) -> str | None:
    """The header takes precedence over the query parameter, which can hold any characters."""
    return exchange.request.header("x-ms-file-name") or exchange.parameters.get("x-ms-file-name")


def _mime_type(exchange: Exchange, name: str) -> str:
    """The type the client sends, or that of the file's extension if it sends any bytes."""
    sent = (exchange.request.header("content-type") or _ANY_BYTES).partition(";")[0].strip()
    return sent if sent != _ANY_BYTES else _MIME_TYPES.guess_type(name)[0] or _ANY_BYTES


# --- downloads -------------------------------------------------------------------------------------------------


class _Span(NamedTuple):
    """The bytes of a file that are asked for: from ``start`` to before ``end``."""

    start: int
    end: int
    is_part: bool


def download(exchange: Exchange, reference: EntityReference, column: Column) -> Response:
    """``GET set(id)/column/$value``: the file, or the part of it that the header Range asks for."""
    row = exchange.resolve(reference)
    while True:
        file_id = exchange.retrieve(row, (column.logical_name,)).get(column.logical_name)
        if file_id is None:
            return NO_CONTENT
        try:
            return _download(exchange, row, column)
        except ObjectDoesNotExist:
            if exchange.retrieve(row, (column.logical_name,)).get(column.logical_name) == file_id:
                raise
            # Another file took its place between two blocks: begin again with that one.


def _download(exchange: Exchange, row: EntityReference, column: Column) -> Response:
    file = exchange.execute("InitializeFileBlocksDownload", Target=row, FileAttributeName=column.logical_name)
    size = file["FileSizeInBytes"]
    span = _span(exchange.request.header("range") or "", size)
    if span is None:
        return Response(416, {"Content-Range": f"bytes */{size}"})
    body = b"".join(_blocks(exchange, file["FileContinuationToken"], span))
    return Response(206 if span.is_part else 200, _headers(exchange, file, span), body)


def _span(header: str, size: int) -> _Span | None:
    """The span of a Range; everything if it is none that can be read, None when it begins behind the end.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-14.2
    """
    match = _RANGE.match(header.strip())
    if match is None:
        return _Span(0, size, is_part=False)
    first, last, suffix = match.groups()
    if last is not None and int(last) < int(first):
        return _Span(0, size, is_part=False)
    start = int(first) if first is not None else max(size - int(suffix), 0)
    end = min(int(last) + 1, size) if last is not None else size
    return _Span(start, end, is_part=True) if start < end else None


def _blocks(exchange: Exchange, token: str, span: _Span) -> Iterator[bytes]:
    for start in range(span.start, span.end, MAX_BLOCK):
        length = min(MAX_BLOCK, span.end - start)
        yield exchange.execute("DownloadBlock", FileContinuationToken=token, Offset=start, BlockLength=length)["Data"]


def _headers(exchange: Exchange, file: Any, span: _Span) -> dict[str, str]:
    name, size = file["FileName"], file["FileSizeInBytes"]
    described = exchange.retrieve(EntityReference(FILE_ATTACHMENT, file["FileContinuationToken"]), ("mimetype",))
    mime_type = described.get("mimetype", _ANY_BYTES)
    facts = {
        "x-ms-file-size": str(size),
        "x-ms-file-name": name if _fits_in_header(name) else quote(name),
        **(_CHUNK_SIZE if span.is_part else {}),
        "mimetype": mime_type if _fits_in_header(mime_type) else _ANY_BYTES,
    }
    return {
        "Content-Type": _ANY_BYTES,
        "Content-Disposition": _disposition(name),
        **({"Content-Range": f"bytes {span.start}-{span.end - 1}/{size}"} if span.is_part else {}),
        **facts,
        "Access-Control-Expose-Headers": "; ".join(facts),
    }


def _disposition(name: str) -> str:
    """Source: https://www.rfc-editor.org/rfc/rfc6266"""
    if _fits_in_header(name):
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'attachment; filename="{quoted}"'
    return f"attachment; filename*=UTF-8''{quote(name)}"


def _fits_in_header(text: str) -> bool:
    return text.isascii() and text.isprintable()
