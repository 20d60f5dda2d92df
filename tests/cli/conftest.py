"""Environments for commands: an embedded Dataverse that is served over HTTP, and the settings that name it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from runner.web.dataverse.host import application
from runner.web.dataverse.start_page import Facts


@pytest.fixture
def served(serve, tmp_path, monkeypatch):
    """Serves an emulator and makes it the one that is configured, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNNER_REGISTRATIONS", raising=False)
    with ExitStack() as ending:

        def start(emulator):
            ending.enter_context(emulator)
            app = application(emulator, Facts("simulator", None, require_token=False))
            ending.callback(app.close)
            url = serve(app)
            monkeypatch.setenv("DATAVERSE_URL", url)
            return ending.enter_context(DataverseClient(url, tokens=NoAuthentication()))

        yield start
