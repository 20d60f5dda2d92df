"""``runner plan`` and ``runner apply`` against an embedded Dataverse that is served over HTTP."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from dataverse_client.types import Entity, QueryExpression
from runner.cli.main import runner
from runner.emulator.emulator import Emulator
from runner.emulator.metadata.load import describe, load_metadata, metadata_of
from runner.registrations.identity import step_id

FILE = """
steps:
  - { name: Greet, plugin: "a:B", message: Create, entity: account, stage: 20 }
  - { name: Part, plugin: "a:B", message: Delete, entity: account, stage: 10, delivery: inline, timeout: 90 }
"""
KEY = "the-webhook-key-nobody-may-see"


@pytest.fixture
def environment(served, write, monkeypatch):
    """A served environment, the settings that name it, and the file in the working directory."""
    monkeypatch.setenv("DATAVERSE_WEBHOOK_KEY", KEY)
    write(FILE)
    return served(Emulator())


@pytest.fixture
def write(tmp_path):
    return (tmp_path / "registrations.yaml").write_text


def before_customization():
    """The platform's tables without what this product adds."""
    names = [name for name, table in load_metadata().tables.items() if not (table.is_intersect or table.is_custom)]
    for description in map(describe, names):
        columns = {name: body for name, body in description["columns"].items() if not name.startswith("new_")}
        yield {**description, "columns": columns, "keys": {}, "include": []}


def run(*arguments, **more):
    return CliRunner().invoke(runner, [*arguments], **more)


def test_plan_says_what_would_change_and_changes_nothing(environment):
    result = run("plan")
    assert result.exit_code == 2
    assert "+ serviceendpoint Dataverse plug-in runner" in result.output
    assert "    url: http://127.0.0.1:8080/dataverse/webhook" in result.output
    assert "+ sdkmessageprocessingstep Greet: Create of account" in result.output
    assert ": 3 to create, 0 to change, 0 to remove." in result.output
    assert list(environment.query(QueryExpression.of("sdkmessageprocessingstep"))) == []


def test_plan_shows_that_a_secret_is_set_and_not_the_secret(environment):
    result = run("plan")
    assert "    authvalue: set" in result.output
    assert KEY not in result.output + run("plan", "--json").output


def test_plan_says_what_cannot_hold_remotely_and_where_it_is_documented(environment):
    result = run("plan")
    assert "Dataverse waits 60 seconds for an inline step" in result.stderr
    assert "Concerns: Greet. [https://learn.microsoft.com/power-apps/" in result.stderr


def test_after_apply_nothing_differs(environment):
    applied = run("apply", "--yes")
    assert applied.exit_code == 0, applied.output
    assert "Done: 3 created, 0 changed, 0 removed" in applied.output
    planned = run("plan")
    assert planned.exit_code == 0
    assert "Nothing to do" in planned.output
    assert "Nothing to do" in run("apply", "--yes").output


def test_plan_shows_drift_and_apply_repairs_it(environment):
    run("apply", "--yes")
    environment.update(Entity("sdkmessageprocessingstep", step_id("Greet"), {"rank": 5}))
    planned = run("plan")
    assert planned.exit_code == 2
    assert "~ sdkmessageprocessingstep Greet: Create of account\n    rank: 5 -> 1\n" in planned.output
    run("apply", "--yes")
    assert environment.retrieve("sdkmessageprocessingstep", step_id("Greet"), ["rank"])["rank"] == 1


def test_answering_no_changes_nothing(environment):
    for said in ("n\n", ""):
        result = run("apply", input=said)
        assert (result.exit_code, "Nothing was changed." in result.stderr) == (1, True)
    assert run("plan").exit_code == 2


def test_prune_removes_steps_that_are_no_longer_in_the_file(environment, write):
    run("apply", "--yes")
    write(FILE.rpartition("  - { name: Part")[0])
    kept = run("apply", "--yes")
    assert "1 no longer in the file and left where they are; --prune removes them." in kept.output
    pruned = run("apply", "--yes", "--prune")
    assert "- sdkmessageprocessingstep Part: Delete of account" in pruned.output
    assert run("plan").exit_code == 0


def test_plan_and_apply_answer_in_json(environment):
    planned = json.loads(run("plan", "--json").output)
    assert [change["change"] for change in planned["changes"]] == ["created"] * 3
    applied = json.loads(run("apply", "--yes", "--json").output)
    assert applied["applied"]
    assert json.loads(run("plan", "--json").output)["changes"] == []


def test_what_goes_wrong_is_not_taken_for_a_difference(environment, monkeypatch):
    monkeypatch.delenv("DATAVERSE_URL")
    result = run("plan")
    assert result.exit_code == 1
    assert "DATAVERSE_URL is not set" in result.output
    assert run("plan", "absent.yaml").exit_code == 1


def test_a_step_the_environment_cannot_have_is_a_failure_with_advice(environment, write):
    write(FILE.replace("Create", "new_Missing"))
    result = run("apply", "--yes")
    assert result.exit_code == 1
    assert "Create the custom API new_Missing, here under custom_apis or there, or remove the step." in result.output


def test_apply_makes_what_is_missing_of_the_tables_and_registers_steps_on_them(served, write):
    client = served(Emulator(metadata=metadata_of(before_customization())))
    write(FILE.replace("account", "new_payment"))
    assert "Is the table's solution imported? runner apply --schema makes" in run("apply", "--yes").output
    result = run("apply", "--schema", "--yes")
    assert result.exit_code == 0, result.output
    assert "+ table new_payment" in result.output
    assert "+ column salesorder.new_stripepaymentintentid" in result.output
    assert client.metadata.table("new_payment").is_lookup("new_customerid")
    assert json.loads(run("apply", "--schema", "--yes", "--json").output)["schema"] == []


def test_json_names_what_the_environment_cannot_have(environment, write):
    write(FILE.replace("Create", "new_Missing"))
    for command in (["plan"], ["apply", "--yes"]):
        result = run(*command, "--json")
        (problem,) = json.loads(result.output)["problems"]
        assert (result.exit_code, problem.partition(":")[0]) == (1, "Greet")


def test_apply_in_json_needs_yes(environment):
    result = run("apply", "--json")
    assert (result.exit_code, "add --yes" in result.output) == (2, True)
