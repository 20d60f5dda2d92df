"""Many operations in one HTTP request: the multipart form of $batch, written and read.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/execute-batch-operations-using-web-api
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from urllib.parse import urlsplit

from dataverse_client.errors import DataverseUnavailableError, UnexpectedResponseError
from dataverse_client.exchange import Answer, Request, prefer
from dataverse_client.operations import (
    Associate,
    BatchResult,
    Create,
    Delete,
    Disassociate,
    Operation,
    Retrieve,
    Update,
    Upsert,
)
from dataverse_client.retry import read_retry_after
from dataverse_client.types import new_guid

__all__ = [
    "MAX_PARTS",
    "Associate",
    "BatchResult",
    "Create",
    "Delete",
    "Disassociate",
    "Operation",
    "Retrieve",
    "Update",
    "Upsert",
    "batch_request",
    "read_batch",
]

#: What Dataverse takes in one $batch.
MAX_PARTS = 1000


def batch_request(requests: Sequence[Request], root: str, *, atomic: bool = False) -> Request:
    """One request that carries ``requests``: independent of each other, or all of them or none when ``atomic``.

    ``root`` is the API root its parts are addressed by. It may be repeated if each of them may; not so a change set,
    whose one error would not tell which of its parts an earlier attempt had done.
    """
    base = urlsplit(root).path
    parts = [_part(request, base, str(number) if atomic else None) for number, request in enumerate(requests, 1)]
    kind, body = _multipart("batch", [_change_set(parts)] if atomic else parts)
    headers = {"Content-Type": kind, **prefer("odata.continue-on-error")}
    repeatable = not atomic and all(request.repeatable for request in requests)
    return Request("POST", "$batch", headers, body, repeatable)


def _change_set(parts: Sequence[bytes]) -> bytes:
    kind, body = _multipart("changeset", parts)
    return _lines(f"Content-Type: {kind}", "") + body


def _part(request: Request, base: str, content_id: str | None) -> bytes:
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id is not None:
        head.append(f"Content-ID: {content_id}")
    headers = [f"{name}: {value}" for name, value in {**prefer(), **request.headers}.items()]
    return _lines(*head, "", f"{request.method} {base}{request.path} HTTP/1.1", *headers, "") + (request.body or b"")


def _multipart(name: str, parts: Sequence[bytes]) -> tuple[str, bytes]:
    boundary = f"{name}_{new_guid()}"
    delimiter = f"--{boundary}\r\n".encode()
    body = b"".join(delimiter + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return f'multipart/mixed; boundary="{boundary}"', body


def _lines(*lines: str) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode()


@dataclass(frozen=True, slots=True)
class _Part:
    content_id: str | None
    status: int
    headers: Mapping[str, str]
    body: bytes


def read_batch(answer: Answer, requests: Sequence[Request], now: datetime, *, atomic: bool = False) -> list[Answer]:
    """The answer to each of ``requests``, in their order. A change set that failed is its error for all of them.

    ``now`` is when the answer came.

    Raises:
      DataverseError: the batch as a whole was refused.
      UnexpectedResponseError: the answer is not multipart.
    """
    kind = answer.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/"):
        answer.or_error()
        raise UnexpectedResponseError(
            f"The answer to $batch should be multipart, not {kind or 'unnamed content'}",
            status=answer.status,
            request=str(answer.request),
        )
    parts = list(_read_multipart(answer.body, kind))
    if atomic and len(parts) == 1 and parts[0].status >= 400:
        return [_answer(_refused(requests, parts[0], answer), parts[0], answer, now)] * len(requests)
    if all(part.content_id and part.content_id.isdecimal() for part in parts):
        parts.sort(key=lambda part: int(part.content_id or 0))
    return [_answer(request, part, answer, now) for request, part in zip(requests, parts, strict=False)]


def _refused(requests: Sequence[Request], part: _Part, batch: Answer) -> Request:
    """The request of a change set that failed, where the answer says which it was; else the batch."""
    number = int(part.content_id) if part.content_id and part.content_id.isdecimal() else 0
    return requests[number - 1] if 0 < number <= len(requests) else batch.request


def _answer(request: Request, part: _Part, batch: Answer, now: datetime) -> Answer:
    # The request id that support asks for is the batch's: parts have none of their own.
    headers = {**{name: value for name, value in batch.headers.items() if name.startswith("x-ms-")}, **part.headers}
    asked = read_retry_after(part.headers, now)
    wait = batch.retry_after if asked is None else asked
    return Answer(request, part.status, headers, part.body, wait, batch.is_repeat)


def no_answer(request: Request, batch: Answer) -> DataverseUnavailableError:
    """For a part that was sent and that the answer does not mention."""
    return DataverseUnavailableError(
        "The answer to $batch ends before this part; whether it was done is unknown",
        request=str(request),
        status=batch.status,
        is_repeat=batch.is_repeat,
    )


def _read_multipart(body: bytes, kind: str) -> Iterator[_Part]:
    delimiter = rb"(?:\A|\r?\n)--" + re.escape(_boundary(kind).encode())
    before_end = re.split(delimiter + rb"--", body, maxsplit=1)[0]
    for section in re.split(delimiter + rb"[ \t]*(?:\r?\n|\Z)", before_end)[1:]:
        headers, content = _head_and_body(section)
        nested = headers.get("content-type", "")
        if nested.lower().startswith("multipart/"):
            yield from _read_multipart(content, nested)
        else:
            yield _read_http(content, headers.get("content-id"))


def _read_http(content: bytes, content_id: str | None) -> _Part:
    line, _, rest = content.lstrip().partition(b"\n")
    match = re.match(rb"HTTP/\d(?:\.\d)?\s+(\d{3})", line)
    if match is None:
        raise UnexpectedResponseError("A part of the answer to $batch has no status line")
    headers, body = _head_and_body(rest)
    return _Part(content_id or headers.get("content-id"), int(match[1]), headers, body.strip())


def _head_and_body(text: bytes) -> tuple[dict[str, str], bytes]:
    """Headers by lower-case name, and what follows the first empty line."""
    head, *body = re.split(rb"(?:\A|\r?\n)\r?\n", text, maxsplit=1)
    pairs = (line.partition(":") for line in head.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, body[0] if body else b""


def _boundary(kind: str) -> str:
    message = Message()
    message["Content-Type"] = kind
    boundary = message.get_boundary()
    if not boundary:
        raise UnexpectedResponseError(f"The answer to $batch names no boundary: {kind}")
    return boundary
