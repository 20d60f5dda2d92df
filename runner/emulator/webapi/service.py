"""The Web API of the embedded Dataverse: takes a request, returns a response, independent of the web server.

    >>> api = WebApi(emulator)                                                               # doctest: +SKIP
    >>> api.handle(Request("GET", "/api/data/v9.2/accounts?$select=name")).json()["value"]   # doctest: +SKIP

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/overview
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from dataverse_client.types import guid, is_guid, new_guid
from runner.emulator.emulator import Emulator
from runner.emulator.errors import OrganizationServiceFault
from runner.emulator.webapi import batch
from runner.emulator.webapi.contexts import with_applied
from runner.emulator.webapi.exchange import Exchange, json_response
from runner.emulator.webapi.faults import ResourceNotFound, error_body
from runner.emulator.webapi.http import Address, Request, Response
from runner.emulator.webapi.identity import bypass_of, caller_of
from runner.emulator.webapi.paths import parse_path
from runner.emulator.webapi.routing import route
from runner.emulator.webapi.schema import Schema

_log = logging.getLogger(__name__)


class WebApi:
    """Answers Web API requests from an :class:`Emulator`. Safe to call from many threads."""

    def __init__(self, emulator: Emulator, *, user_id: str | None = None) -> None:
        """``user_id`` is the user of requests that name none; None means the administrator."""
        self.emulator = emulator
        self._user_id = user_id or emulator.administrator_id
        self._schema = Schema(emulator.metadata)

    def handle(self, request: Request) -> Response:
        """Answer a request. Never raises: errors are returned as responses."""
        return self.guarded(request, self.respond)

    def guarded(self, request: Request, work: Callable[[Request], Response]) -> Response:
        """The response of ``work``, or that to the error it raises, with the headers of every response."""
        request_id = new_guid()
        try:
            response = work(request)
        except OrganizationServiceFault as fault:
            response = self._refusal(request, fault)
        except Exception:
            _log.exception("Request %s failed: %s %s", request_id, request.method, request.url)
            response = self._refusal(request, _unexpected(request_id))
        status, headers, body = response
        return Response(status, {**_headers(request, request_id), **headers}, body)

    def respond(self, request: Request) -> Response:
        """Answer a request. Raises OrganizationServiceFault when it is refused."""
        address = Address.of(request)
        if address is None:
            raise ResourceNotFound(f"'{request.url}' is not below /api/data/v9.0 to v9.2.")
        if address.path.rstrip("/") == "$batch":
            return batch.answer(self, request, address)
        exchange = self._exchange(request, address)
        response = route(exchange, parse_path(address.path, exchange.parameters))
        return with_applied(response, exchange.preferences)

    def _exchange(self, request: Request, address: Address) -> Exchange:
        signed_in = request.user_id or self._user_id
        return Exchange(
            self.emulator,
            self._current_schema(),
            request,
            address,
            address.parameters(),
            request.preferences,
            caller_of(self.emulator, request, signed_in),
            bypass_of(request),
            signed_in,
        )

    def _current_schema(self) -> Schema:
        if self._schema.metadata is not self.emulator.metadata:
            self._schema = Schema(self.emulator.metadata)
        return self._schema

    def _refusal(self, request: Request, fault: OrganizationServiceFault) -> Response:
        return json_response(error_body(fault, request.preferences.wants), fault.http_status)


def _unexpected(request_id: str) -> OrganizationServiceFault:
    return OrganizationServiceFault(
        f"An unexpected error occurred. See request {request_id} in the emulator's log.", http_status=500
    )


def _headers(request: Request, request_id: str) -> Mapping[str, str]:
    headers = {"OData-Version": "4.0", "x-ms-service-request-id": request_id, "REQ_ID": request_id}
    client_request_id = request.header("x-ms-client-request-id")
    if client_request_id is not None and is_guid(client_request_id):
        headers["x-ms-client-request-id"] = guid(client_request_id)
    return headers
