"""Requests and answers as bare ASGI, for routes that have to be fast.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

from starlette.types import Receive, Scope, Send


class Disconnected(Exception):
    """The client went away before it had said everything."""


class BodyTooLong(Exception):
    """The body is longer than is accepted here."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Lower-case names; what came several times is joined by commas."""
    raw = scope["headers"]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    return headers if len(headers) == len(raw) else _joined(raw)


def _joined(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    values: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for name, value in raw:
        values[name].append(value)
    return {name.decode("latin-1"): b", ".join(each).decode("latin-1") for name, each in values.items()}


def client_of(scope: Scope) -> str:
    """The address a request came from; nothing, which is nowhere near, when the server does not know."""
    client = scope.get("client")
    return client[0] if client else ""


def announces_body(headers: Mapping[str, str]) -> bool:
    """Whether a request of HTTP/1.1 has a body. Other servers, such as the Functions host, announce none.

    Source: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    """
    return "content-length" in headers or "transfer-encoding" in headers


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """The whole body, ``limit`` bytes at most. Raises BodyTooLong, as soon as it is known, or Disconnected."""
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLong
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise BodyTooLong
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@lru_cache(256)
def _raw_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


async def respond(send: Send, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
    """Send the whole answer."""
    raw = [(_raw_name(name), value.encode("latin-1", "replace")) for name, value in (headers or {}).items()]
    # Without a body Dataverse's answers have no length; a 204 must not have one.
    if body:
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
