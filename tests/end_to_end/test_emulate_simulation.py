"""``runner simulate`` ends as it should also when its client reaches CRM over HTTP."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from requests.adapters import HTTPAdapter

from runner.cli.main import runner
from runner.cli.simulate import OUTCOMES
from runner.web.dataverse.host import application
from runner.web.dataverse.start_page import Facts


@pytest.fixture(autouse=True)
def over_http(serve, monkeypatch, request):
    """Puts a server where the in-process adapter stands; answers how many requests came that way."""
    carried = []

    class ServedAdapter(HTTPAdapter):
        def __init__(self, api):
            super().__init__()
            app = application(api.emulator, Facts("simulator", None, require_token=False))
            request.addfinalizer(app.close)
            self._url = serve(app)

        def send(self, request, **options):
            parts = urlsplit(request.url)
            carried.append(request.method)
            request.url = f"{self._url}{parts.path}{'?' if parts.query else ''}{parts.query}"
            return super().send(request, **options)

    monkeypatch.setattr("runner.emulator.adapter.EmbeddedAdapter", ServedAdapter)
    monkeypatch.chdir(Path(__file__).parents[2])
    return carried


@pytest.mark.parametrize("entity", ["payment", "sales_order"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_of_a_payment_can_be_simulated_against_it(over_http, entity, outcome):
    result = CliRunner().invoke(runner, ["simulate", "--entity", entity, "--outcome", outcome])
    assert result.exit_code == 0, result.output
    assert {"POST", "GET"} <= set(over_http)


@pytest.mark.parametrize(
    "arguments",
    [["--rollback"], ["--message", "update"], ["--message", "delete"], ["--duplicate", "--shuffle", "7"]],
    ids=" ".join,
)
def test_rollbacks_messages_and_disorder_can_be_simulated_against_it(over_http, arguments):
    result = CliRunner().invoke(runner, ["simulate", *arguments])
    assert result.exit_code == 0, result.output
    assert over_http
