"""The endpoints where Azure gives an app, a container or a virtual machine the tokens of its managed identity."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

import pytest
from local_server import Handler, local_server

#: What App Service puts into ``IDENTITY_HEADER``, so that no other site on the machine can ask.
HEADER = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"


class IdentityEndpoint:
    """Gives out ``token-1``, ``token-2``, ... or what ``issue`` makes. ``troubles`` are statuses answered first."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, str]] = []
        self.troubles: list[int] = []
        self.lifetime = 24 * 3600
        self.issue: Callable[[], str] = lambda: f"token-{len(self.asked)}"

    def as_app_service(self, environ: pytest.MonkeyPatch) -> None:
        environ.setenv("IDENTITY_ENDPOINT", f"{self.url}/msi/token")
        environ.setenv("IDENTITY_HEADER", HEADER)

    def as_virtual_machine(self, environ: pytest.MonkeyPatch) -> None:
        environ.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.url)

    def answer(self, path: str, query: dict[str, str], header: str | None, metadata: str | None) -> tuple[int, object]:
        if "resource" not in query:  # azure-identity looks whether anybody is there
            return 400, {"error": "invalid_request"}
        self.asked.append(query)
        if self.troubles:
            return self.troubles.pop(0), {"error": "trouble", "error_description": "for now"}
        if path == "/msi/token" and header != HEADER:
            return 401, {"statusCode": 401, "message": "No MSI found for specified ClientId/ResourceId."}
        if path.startswith("/metadata/") and metadata != "true":
            return 400, {"error": "invalid_request", "error_description": "Required metadata header not specified"}
        until = {"expires_on": str(int(time.time()) + self.lifetime), "expires_in": str(self.lifetime)}
        return 200, {"access_token": self.issue(), "token_type": "Bearer", "resource": query["resource"], **until}


@contextmanager
def identity_endpoint() -> Iterator[IdentityEndpoint]:
    class Endpoint(Handler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            shown = self.headers.get("X-IDENTITY-HEADER"), self.headers.get("Metadata")
            status, body = endpoint.answer(parts.path, dict(parse_qsl(parts.query)), *shown)
            self.answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    with local_server(Endpoint) as url:
        endpoint = IdentityEndpoint(url)
        yield endpoint
