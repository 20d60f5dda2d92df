"""Azure Key Vault behind the real SDK: only the network is ours."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import SecretClient
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from azure_bridge.clock import Clock

URL = "https://fabrikam.vault.azure.net"
_CHALLENGE = f'Bearer authorization="https://login.microsoftonline.com/t", resource="{URL}"'
_NOT_THERE = {"error": {"code": "SecretNotFound", "message": "no"}}


class SignedIn:
    """A credential as azure-identity's would be on a machine that may read the vault."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("token", 4_102_444_800)


@dataclass(slots=True)
class Version:
    number: int
    value: str
    created: int
    enabled: bool = True


class Vault(BaseAdapter):
    """Secrets with their versions. ``refusal`` is the status answered to everything; ``asked`` counts the requests."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.refusal: int | None = None
        self.asked = 0
        self._secrets: dict[str, list[Version]] = {}

    def client(self, url: str = URL) -> SecretClient:
        session = requests.Session()
        session.mount("https://", self)
        transport = RequestsTransport(session=session, session_owner=False)
        return SecretClient(
            url, SignedIn(), transport=transport, verify_challenge_resource=False, retry_total=0, logging_enable=True
        )

    def set(self, name: str, value: str) -> Version:
        """A new version, made now."""
        versions = self._secrets.setdefault(name, [])
        versions.append(Version(len(versions) + 1, value, int(self.clock.now().timestamp())))
        return versions[-1]

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        if "Authorization" not in request.headers:
            return _response(request, 401, {}, {"WWW-Authenticate": _CHALLENGE})
        self.asked += 1
        if self.refusal is not None:
            return _response(request, self.refusal, {"error": {"code": "Forbidden", "message": "no"}})
        found = re.fullmatch(r"/secrets/([^/]+)/([^/?]*)(?:\?.*)?", request.path_url)
        assert found is not None, request.path_url
        status, body = self._answer(*found.groups())
        return _response(request, status, body)

    def close(self) -> None:
        """There is nothing to close."""

    def _answer(self, name: str, version: str) -> tuple[int, Mapping[str, Any]]:
        versions = self._secrets.get(name, [])
        if version == "versions":
            return 200, {"value": [_described(name, each) for each in versions], "nextLink": None}
        wanted = [each for each in versions if version in ("", str(each.number))]
        if not wanted:
            return 404, _NOT_THERE
        return 200, {"value": wanted[-1].value, **_described(name, wanted[-1])}


def settled() -> None:
    """When nobody asks the vault any more."""
    for thread in threading.enumerate():
        if thread.name == "key vault":
            thread.join(30)


def _described(name: str, version: Version) -> dict[str, Any]:
    attributes = {"enabled": version.enabled, "created": version.created, "updated": version.created}
    return {"id": f"{URL}/secrets/{name}/{version.number}", "attributes": attributes}


def _response(
    request: requests.PreparedRequest, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> requests.Response:
    content = json.dumps(body).encode()
    told = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
    response = requests.Response()
    response.status_code, response.request, response.url = status, request, str(request.url)
    response.headers.update(told)
    response.raw = HTTPResponse(BytesIO(content), headers=told, status=status, preload_content=False)
    return response
