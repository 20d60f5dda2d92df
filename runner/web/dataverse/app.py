"""The embedded Dataverse as an ASGI application.

The Web API's road is bare ASGI: a request is authenticated, counted, read, answered by the framework-free core,
and sent. Everything else is pages.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from starlette.types import ASGIApp, Receive, Scope, Send

from runner.emulator.errors import OrganizationServiceFault
from runner.emulator.webapi import Request, Response, WebApi
from runner.emulator.webapi.exchange import json_response
from runner.emulator.webapi.faults import error_body
from runner.emulator.webapi.http import Preferences
from runner.web.asgi import BodyTooLong, Disconnected, announces_body, client_of, headers_of, read_body, respond
from runner.web.dataverse.authentication import Doorkeeper, Unauthorized
from runner.web.dataverse.cross_origin import preflight, shared
from runner.web.dataverse.service_protection import ServiceProtection, TooManyRequests

#: Bytes of a request's body, as in Dataverse.
MAX_BODY = 128 * 1024 * 1024

#: Requests that only read do not wait for others, so a few threads answer them all.
_READING_THREADS = 4
#: Any other may wait for another one's transaction, and each of them needs a thread to wait in. Dataverse serves as
#: many requests of a user at the same time.
_WRITING_THREADS = 52


class BadAuthTicket(OrganizationServiceFault):
    """Nobody is signed in, or no longer."""

    code = 0x8004A102
    http_status = 401


class BodyTooLarge(OrganizationServiceFault):
    code = 0x80060888
    http_status = 413


class DataverseApp:
    """Serves ``/api/data/`` itself and leaves every other path to ``pages``."""

    def __init__(
        self,
        api: WebApi,
        doorkeeper: Doorkeeper,
        pages: ASGIApp,
        *,
        protection: ServiceProtection | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        self._api = api
        self._doorkeeper = doorkeeper
        self._pages = pages
        self._protection = protection
        self._max_body = max_body
        self._reading = ThreadPoolExecutor(_READING_THREADS, "web-api-reading")
        self._writing = ThreadPoolExecutor(_WRITING_THREADS, "web-api-writing")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"][:10].lower() == "/api/data/":
            await self._serve_api(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    def close(self) -> None:
        """Let the requests being answered come to their end."""
        self._writing.shutdown()
        self._reading.shutdown()

    async def _serve_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        try:
            response = preflight(scope["method"], headers) or await self._answer(scope, headers, receive)
        except Disconnected:
            return
        except Unauthorized as refusal:
            response = _unauthorized(_origin(scope, headers), refusal)
        except BodyTooLong:
            response = _refusal(_too_large(self._max_body), {"Connection": "close"})
        status, answered, body = shared(response, headers)
        await respond(send, status, body, answered)

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Response:
        user_id = self._doorkeeper.admit(client_of(scope), headers)
        body = await read_body(receive, headers, self._max_body) if announces_body(headers) else b""
        request = Request(scope["method"], _url(scope, headers), headers, body, user_id)
        if self._protection is None:
            return await self._handle(request)
        return await self._handle_within_limits(request, self._protection, user_id or "")

    async def _handle_within_limits(self, request: Request, protection: ServiceProtection, user_id: str) -> Response:
        try:
            began = protection.admit(user_id)
        except TooManyRequests as fault:
            retry_after = {"Retry-After": str(fault.retry_after)}
            return _refusal(fault, {**protection.headers(user_id), **retry_after})
        try:
            response = await self._handle(request)
        finally:
            protection.finished(user_id, began)
        return Response(response.status, {**response.headers, **protection.headers(user_id)}, response.body)

    async def _handle(self, request: Request) -> Response:
        """Answer in a thread, unless that would cost more than the answer: plug-ins wait for others, rows do not."""
        if self._api.emulator.is_prompt:
            return self._api.handle(request)
        threads = self._reading if request.method == "GET" else self._writing
        return await asyncio.get_running_loop().run_in_executor(threads, self._api.handle, request)


def _origin(scope: Scope, headers: Mapping[str, str]) -> str:
    return f"{scope['scheme']}://{headers.get('host', 'localhost')}"


def _url(scope: Scope, headers: Mapping[str, str]) -> str:
    path = f"{_origin(scope, headers)}{scope['raw_path'].decode('latin-1')}"
    query = scope["query_string"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {limit} bytes. Send it in several requests.")


def _unauthorized(origin: str, refusal: Unauthorized) -> Response:
    """Tells clients where tokens are to be had, as Dataverse does."""
    challenge = f"Bearer authorization_uri={origin}/common/oauth2/authorize, resource_id={origin}/"
    return _refusal(BadAuthTicket(str(refusal)), {"WWW-Authenticate": challenge})


def _refusal(fault: OrganizationServiceFault, headers: Mapping[str, str]) -> Response:
    return json_response(error_body(fault, Preferences().wants), fault.http_status, {"OData-Version": "4.0", **headers})
