"""An embedded Dataverse and its Web API, and a way to speak to it in one line."""

from __future__ import annotations

import pytest

from runner.emulator.emulator import Emulator
from runner.emulator.webapi import Request, WebApi, encoding

ROOT = "http://crm.example/api/data/v9.2"


class Client:
    """Sends requests to a Web API and keeps nothing."""

    def __init__(self, api: WebApi) -> None:
        self.api = api

    def send(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else b"" if body is None else encoding.dumps(body)
        url = path if path.startswith(("http://", "https://")) else f"{ROOT}/{path}"
        return self.api.handle(Request(method, url, headers, content))

    def get(self, path, **headers):
        response = self.send("GET", path, **headers)
        assert response.status == 200, response.body
        return response.json()

    def post(self, path, body, **headers):
        return self.send("POST", path, body, **headers)

    def patch(self, path, body, **headers):
        return self.send("PATCH", path, body, **headers)

    def delete(self, path, **headers):
        return self.send("DELETE", path, **headers)

    def create(self, entity_set, **columns):
        """Create a row; answers its id, read from where clients read it."""
        response = self.post(entity_set, {name.replace("__bind", "@odata.bind"): v for name, v in columns.items()})
        assert response.status == 204, response.body
        return response.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")


@pytest.fixture
def emulator(clock):
    with Emulator(clock=clock) as emulator:
        yield emulator


@pytest.fixture
def api(emulator):
    return WebApi(emulator)


@pytest.fixture
def crm(api):
    return Client(api)


@pytest.fixture
def error_of():
    """The status, code and message of a refusal."""

    def read(response):
        error = response.json()["error"]
        return response.status, error["code"], error["message"]

    return read
