"""Registering over the Web API as clients do, and a webhook that is listening on this machine."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from local_server import Handler, local_server

from runner.emulator.registration.sdk_messages import filter_id, message_id
from runner.emulator.webapi import WebApi
from runner.emulator.webapi.http import Request


class Web:
    """``crm`` over its Web API: every method answers the JSON, or the id of what was created."""

    def __init__(self, crm):
        self.api = WebApi(crm)

    def send(self, method, path, body=None, headers=None):
        content = b"" if body is None else orjson.dumps(body)
        return self.api.handle(Request(method, f"/api/data/v9.2/{path}", headers or {}, content))

    def post(self, entity_set, /, **body):
        response = self.send("POST", entity_set, body)
        assert response.status == 204, response.body
        return response.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")

    def patch(self, path, /, **body):
        response = self.send("PATCH", path, body)
        assert response.status == 204, response.body

    def delete(self, path):
        response = self.send("DELETE", path)
        assert response.status == 204, response.body

    def get(self, path):
        response = self.send("GET", path)
        assert response.status == 200, response.body
        return response.json()

    def refusal(self, method, path, /, **body):
        """Status, code and message of a request that is refused."""
        response = self.send(method, path, body)
        assert response.status >= 400, response.body
        error = response.json()["error"]
        return SimpleNamespace(status=response.status, code=int(error["code"], 16), message=error["message"])

    @staticmethod
    def a_step(message="Create", table="account", **more):
        """The body of a step's POST; ``endpoint`` or ``plugin_type`` is the id of what handles it."""
        body = {
            "name": f"a hook: {message} of {table}",
            "mode": 0,
            "stage": 40,
            "rank": 1,
            "sdkmessageid@odata.bind": f"/sdkmessages({message_id(message)})",
            "sdkmessagefilterid@odata.bind": f"/sdkmessagefilters({filter_id(message, table)})",
        }
        if "endpoint" in more:
            body["eventhandler_serviceendpoint@odata.bind"] = f"/serviceendpoints({more.pop('endpoint')})"
        if "plugin_type" in more:
            body["eventhandler_plugintype@odata.bind"] = f"/plugintypes({more.pop('plugin_type')})"
        return body | more

    def register(self, *what, **more):
        """Post a step; answers its id."""
        return self.post("sdkmessageprocessingsteps", **self.a_step(*what, **more))


@pytest.fixture
def web(crm):
    return Web(crm)


@pytest.fixture
def webhook(web):
    """Registers a webhook for ``url``: answers the endpoint's id."""

    def register(url, **more):
        body = {"name": "a hook", "contract": 8, "authtype": 4, "authvalue": "s3cret-key", "url": url}
        return web.post("serviceendpoints", **(body | more))

    return register


class Receiver:
    """What a webhook endpoint heard; ``answers`` are the statuses it gives, 200 once they are used up."""

    def __init__(self):
        self.heard = []
        self.answers = deque()
        self.said = b"Thank you"
        self.url = ""

    def hear(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        query = dict(parse_qsl(urlsplit(handler.path).query))
        self.heard.append(SimpleNamespace(body=body, headers=handler.headers, query=query, path=handler.path))
        handler.answer(self.answers.popleft() if self.answers else 200, self.said)


@contextmanager
def listening(hear):
    class Webhook(Handler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            hear(self)

    with local_server(Webhook) as url:
        yield f"{url}/dataverse?tenant=7"


@pytest.fixture
def serving():
    """``with serving(hear) as url``: ``hear`` answers each POST."""
    return listening


@pytest.fixture
def receiver():
    receiver = Receiver()
    with listening(receiver.hear) as url:
        receiver.url = url
        yield receiver
