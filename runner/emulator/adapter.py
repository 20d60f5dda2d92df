"""A ``requests`` transport adapter for an embedded Dataverse in the same process.

    >>> session = requests.Session()                                                       # doctest: +SKIP
    >>> session.mount("http://embedded.dataverse.local/", EmbeddedAdapter(WebApi(emulator)))  # doctest: +SKIP

Source: https://requests.readthedocs.io/en/latest/user/advanced/#transport-adapters
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.retry import RetrySettings
from runner.emulator.emulator import Emulator
from runner.emulator.webapi import Request, Response, WebApi

EMBEDDED_URL = "http://embedded.dataverse.local"


def client_of(emulator: Emulator, *, retry: RetrySettings | None = None) -> DataverseClient:
    """A client of an embedded Dataverse. Closing it leaves the emulator open."""
    client = DataverseClient(EMBEDDED_URL, tokens=NoAuthentication(), retry=retry)
    client.mount(EMBEDDED_URL, EmbeddedAdapter(WebApi(emulator)))
    return client


class EmbeddedAdapter(BaseAdapter):
    """Answers the requests of a session from a :class:`WebApi`, without a network."""

    def __init__(self, api: WebApi) -> None:
        super().__init__()
        self._api = api

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Answer a request. The network options, such as ``timeout``, have no effect."""
        headers = {name: _text(value) for name, value in request.headers.items()}
        answer = self._api.handle(Request(request.method or "GET", request.url or "", headers, _body(request)))
        return _response(request, answer)

    def close(self) -> None:
        """Do nothing, as the emulator is closed by its owner."""


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _body(request: requests.PreparedRequest) -> bytes:
    body: Any = request.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else b"".join(body)


def _response(request: requests.PreparedRequest, answer: Response) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.reason = HTTPStatus(answer.status).phrase
    response.headers = CaseInsensitiveDict(answer.headers)
    response.encoding = "utf-8"
    response.url = request.url or ""
    response.request = request
    response.raw = BytesIO(answer.body)
    return response
