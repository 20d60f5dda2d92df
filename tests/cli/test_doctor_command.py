"""``runner doctor`` as a person and a pipeline see it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from dataverse_client.errors import AuthenticationError
from runner.cli.main import runner
from runner.emulator.emulator import Emulator

FILE = "steps: [{ name: Greet, plugin: 'a:B', message: Create, entity: account, stage: 20 }]"


@pytest.fixture
def environment(served, tmp_path, monkeypatch):
    for name in ("STRIPE_SECRET_KEY", "STRIPE_API_BASE", "SERVICEBUS_CONNECTION_STRING", "SERVICEBUS_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "registrations.yaml").write_text(FILE)
    return served(Emulator())


def run(*arguments):
    return CliRunner().invoke(runner, [*arguments])


def test_each_thing_has_a_line_and_what_fails_says_what_to_do(environment):
    result = run("doctor")
    assert result.exit_code == 1
    assert "ok      settings                readable\n" in result.output
    assert (
        "failed  registrations           the environment differs from the file in 2 rows. See them with runner plan;"
        in result.output
    )


def test_when_all_is_well_the_exit_code_says_so(environment):
    run("apply", "--yes")
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "skipped Stripe key" in result.output


def test_json_has_the_health_of_each_subject(environment):
    said = {each["subject"]: each["health"] for each in json.loads(run("doctor", "--json").output)}
    assert said["Dataverse sign-in"] == "ok"
    assert said["registrations"] == "failed"


def test_settings_that_contradict_each_other_are_the_first_thing(environment, monkeypatch):
    monkeypatch.setenv("STRIPE_LIVE", "yes")
    result = run("doctor")
    assert result.exit_code == 1
    assert result.output.startswith("failed  settings                STRIPE_LIVE=yes needs a live key")


def test_a_file_with_problems_is_left_to_check(environment, tmp_path):
    (tmp_path / "registrations.yaml").write_text("steps: [{}]")
    assert "problems. See them with runner check." in run("doctor").output


def test_what_needs_dataverse_is_left_out_when_nobody_could_sign_in(environment, monkeypatch):
    monkeypatch.setenv("DATAVERSE_URL", "http://127.0.0.1:9/not-there")
    monkeypatch.setattr("dataverse_client.client.DataverseClient.who_am_i", refuse)
    said = [each["subject"] for each in json.loads(run("doctor", "--json").output)]
    assert "Dataverse sign-in" in said
    assert "Stripe key" in said
    assert not {"tables", "registrations"} & {*said}


def refuse(_):
    raise AuthenticationError("The secret has expired.")


def test_a_secret_that_is_not_set_is_told_and_the_rest_is_looked_at_all_the_same(environment, monkeypatch):
    monkeypatch.setenv("STRIPE_SECRET_KEY", "${env:NOT_SET}")
    said = {each["subject"]: each for each in json.loads(run("doctor", "--json").output)}
    assert said["Stripe key"]["health"] == "failed"
    assert "NOT_SET" in said["Stripe key"]["finding"]
    assert "queue payment-events" in said
