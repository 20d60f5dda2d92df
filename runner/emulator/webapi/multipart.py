"""The multipart format of ``$batch``: reads the requests in a body, and writes the responses.

Reading tolerates the variations of clients (line ends, quoting, spaces in URLs); writing is strict, because
clients look for ``batchresponse_`` and ``changesetresponse_`` in the boundaries and for a status line in every part.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/execute-batch-operations-using-web-api
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from dataverse_client.types import new_guid
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.http import Response

MAX_REQUESTS = 1000
#: The most characters of a URL in a batch.
MAX_URL = 65_536

_BOUNDARY = re.compile(r'multipart/mixed\s*;.*?\bboundary="?([^"\s;,]{1,200})"?', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")
_REQUEST_LINE = re.compile(r"([A-Za-z]+)\s+(.+?)(?:\s+HTTP/\d(?:\.\d)?)?\s*\Z")


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of a batch, its URL as written."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Requests that succeed together or fail together."""

    requests: tuple[BatchRequest, ...]


BatchItem: TypeAlias = BatchRequest | ChangeSet


def read_batch(content_type: str, body: bytes) -> tuple[BatchItem, ...]:
    """Parse the body of a batch.

    Raises:
      BadRequest: the body is not a batch, or has more than 1000 requests.
    """
    items = tuple(_item(headers, content) for headers, content in _parts(content_type, body))
    count = sum(len(item.requests) if isinstance(item, ChangeSet) else 1 for item in items)
    if count > MAX_REQUESTS:
        raise BadRequest(f"A batch takes at most {MAX_REQUESTS} requests, not {count}.")
    return items


def _item(headers: Mapping[str, str], content: bytes) -> BatchItem:
    content_type = headers.get("content-type", "")
    if content_type.lower().startswith("multipart/mixed"):
        return _change_set([_request(*part) for part in _parts(content_type, content)])
    return _request(headers, content)


def _change_set(requests: list[BatchRequest]) -> ChangeSet:
    ids = [request.content_id for request in requests if request.content_id is not None]
    for id in ids:
        if ids.count(id) > 1:
            raise BadRequest(
                f"The content ID '{id}' was found more than once in the same change set or same batch request. Content "
                "IDs have to be unique across all operations of a change set for OData V4.0 and have to be unique "
                "across all operations in the whole batch request for OData V4.01."
            )
    return ChangeSet(tuple(requests))


def _parts(content_type: str, body: bytes) -> list[tuple[Mapping[str, str], bytes]]:
    match = _BOUNDARY.match(content_type)
    if match is None:
        raise BadRequest(f"A batch needs Content-Type: multipart/mixed; boundary=..., not '{content_type}'.")
    line = rb"(?:\A|\r?\n)--" + re.escape(match[1].encode())
    # The text after the closing delimiter is ignored.
    enclosed = re.split(line + rb"--[ \t]*(?=\r?\n|\Z)", body, maxsplit=1)[0]
    pieces = re.split(line + rb"[ \t]*(?=\r?\n|\Z)", enclosed)[1:]
    if not pieces and enclosed == body:
        raise BadRequest(f"The batch body does not contain its boundary '{match[1]}'.")
    return [_headers_and_content(piece) for piece in pieces if piece.strip()]


def _headers_and_content(piece: bytes) -> tuple[Mapping[str, str], bytes]:
    # The headers begin directly after the delimiter's line; a blank line there means that the part has none.
    head, content = _split_once(b"\r\n" + piece.lstrip(b"\r\n") if not _BLANK_LINE.match(piece) else piece)
    return _headers(head), content


def _split_once(piece: bytes) -> tuple[str, bytes]:
    match = _BLANK_LINE.search(piece)
    if match is None:
        return piece.decode("utf-8", "replace"), b""
    return piece[: match.start()].decode("utf-8", "replace"), piece[match.end() :]


def _headers(text: str) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _request(headers: Mapping[str, str], content: bytes) -> BatchRequest:
    head, body = _split_once(content.lstrip(b"\r\n"))
    line, _, rest = head.partition("\n")
    match = _REQUEST_LINE.match(line.strip())
    if match is None:
        raise BadRequest(f"A part of the batch is not an HTTP request: '{line.strip()[:100]}'.")
    if len(match[2]) > MAX_URL:
        raise BadRequest("Invalid URI: The Uri string is too long.")
    inner = _headers(rest)
    return BatchRequest(match[1].upper(), match[2], inner, body, headers.get("content-id") or inner.get("content-id"))


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The response to one request of a batch."""

    response: Response
    content_id: str | None = None

    def part(self) -> bytes:
        lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
        if self.content_id is not None:
            lines.append(f"Content-ID: {self.content_id}")
        status = self.response.status
        lines += ["", f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.response.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.response.body


@dataclass(frozen=True, slots=True)
class ChangeSetAnswer:
    """The responses to the requests of a change set that succeeded."""

    answers: tuple[BatchAnswer, ...]

    def part(self) -> bytes:
        content_type, body = write_multipart("changesetresponse", (answer.part() for answer in self.answers))
        return f"Content-Type: {content_type}\r\n\r\n".encode() + body


def write_multipart(kind: str, parts: Iterable[bytes]) -> tuple[str, bytes]:
    """The Content-Type and the body of a multipart made of ``parts``."""
    boundary = f"{kind}_{new_guid()}"
    written = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    return f"multipart/mixed; boundary={boundary}", written + f"--{boundary}--\r\n".encode()
