"""Requests and answers without a framework, for the roads that must be fast.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send


class Disconnected(Exception):
    """The client went away before it had said everything."""


class BodyTooLong(Exception):
    """The body is longer than is accepted here."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Lower-case names; what came several times is joined by commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def client_of(scope: Scope) -> str:
    """The address a request came from; nothing, which is nowhere near, when the server does not know."""
    client = scope.get("client")
    return client[0] if client else ""


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


async def respond(send: Send, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
    """Send the whole answer."""
    raw = [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in (headers or {}).items()
    ]
    # Without a body Dataverse's answers have no length; a 204 must not have one.
    if body:
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
