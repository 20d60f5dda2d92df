"""A served emulator whose clock stands still, and plain HTTP to it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import requests

from runner.emulator.emulator import Emulator
from runner.web.dataverse.host import application
from runner.web.dataverse.start_page import Facts


class Http:
    """A session that knows where the server is."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def __call__(self, method, path, **options):
        return self.session.request(method, f"{self.url}{path}", timeout=30, **options)

    def get(self, path, **headers):
        return self("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def token(self, client_id="00000000-0000-0000-0000-00000000aaaa"):
        form = {"grant_type": "client_credentials", "scope": f"{self.url}/.default", "client_id": client_id}
        answer = self("POST", "/contoso/oauth2/v2.0/token", data={**form, "client_secret": "any"})
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def who_am_i(self, **headers):
        return self.get("/api/data/v9.2/WhoAmI", **headers)


@pytest.fixture
def emulator(clock):
    with Emulator(clock=clock) as emulator:
        yield emulator


@pytest.fixture
def site(emulator, serve):
    """Serves the emulator, as the options say; answers a way to speak to it."""
    with ExitStack() as closing:

        def made(*, require_token=False, certificate=None, **options):
            facts = Facts("in-process simulator", certificate, require_token)
            app = application(emulator, facts, **options)
            http = Http(serve(app, certificate))
            closing.callback(app.close)
            closing.enter_context(http.session)
            return http

        yield made


@pytest.fixture
def http(site):
    return site()
