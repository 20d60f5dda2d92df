"""Custom APIs of the file in an environment: declared there, and their plug-ins told of each call."""

from __future__ import annotations

import pytest

from dataverse_client.types import Entity, QueryExpression
from runner.registrations.deploy.plan import Kind
from runner.registrations.deploy.problems import UndeployableError
from runner.registrations.deploy.pull import pull
from runner.registrations.identity import custom_api_id, step_id
from runner.registrations.load import parse
from runner.registrations.remote import remote_notes

FILE = """
custom_apis:
  new_Settle:
    plugin: a:Settle
    request_parameters:
      Amount: { type: Money }
      Note: { type: String, optional: true }
    response_properties: { Reference: String }
  new_Settled: { entity: account }
steps:
  - { name: Tell, plugin: "a:Tell", message: new_Settled, entity: account, stage: 40 }
"""


@pytest.fixture
def declared(deployment):
    deployment.text = FILE
    deployment.apply()
    return deployment


def test_everything_is_made_in_one_apply_though_steps_need_the_new_messages(declared) -> None:
    assert declared.changed() == {}
    assert declared.step("Custom API new_Settle")["sdkmessageid"].name == "new_Settle"
    assert declared.step("Tell")["name"] == "Tell: new_Settled of account"


def test_a_plan_shows_them_by_name(deployment) -> None:
    deployment.text = FILE
    created = [change.row.name for change in deployment.plan().changes if change.kind is Kind.CREATED]
    assert created == [
        "Dataverse plug-in runner",
        *("new_Settle", "new_Settle.Amount", "new_Settle.Note", "new_Settle.Reference", "new_Settled"),
        *("Tell: new_Settled of account", "Custom API new_Settle: new_Settle of any Entity"),
    ]


def test_what_is_declared_can_be_called(declared) -> None:
    api = declared.emulator.custom_apis["new_Settle"]
    assert {name: each.optional for name, each in api.request_parameters.items()} == {"Amount": False, "Note": True}
    assert list(api.response_properties) == ["Reference"]
    assert declared.emulator.custom_apis["new_Settled"].entity == "account"


def test_a_parameter_of_another_type_is_another_one(declared) -> None:
    declared.text = FILE.replace("type: Money", "type: Decimal")
    kinds = [change.kind for change in declared.plan().changes]
    assert kinds == [Kind.REMOVED, Kind.CREATED]
    declared.apply()
    assert declared.changed() == {}


def test_a_change_by_hand_is_found_as_drift(declared) -> None:
    by_hand = Entity("customapi", custom_api_id("new_Settle"), {"description": "Somebody's."})
    declared.client.update(by_hand)
    assert declared.changed()["changed", "new_Settle"]["description"] == ("Somebody's.", "Kept by runner apply.")


def test_what_cannot_be_changed_is_said_before_anything_is_tried(declared) -> None:
    declared.text = FILE.replace("new_Settled: { entity: account }", "new_Settled: { entity: contact }").replace(
        "entity: account, stage", "entity: contact, stage"
    )
    with pytest.raises(UndeployableError, match="boundentitylogicalname cannot be changed"):
        declared.plan()


def test_what_is_no_longer_in_the_file_is_pruned_with_all_its_parts(declared) -> None:
    declared.text = "steps: []"
    declared.apply()
    assert declared.emulator.custom_apis.keys() == {"new_Settle", "new_Settled"}
    declared.apply(prune=True)
    assert declared.changed() == {}
    for table in ("customapi", "customapirequestparameter", "customapiresponseproperty", "sdkmessageprocessingstep"):
        assert list(declared.client.query(QueryExpression.of(table))) == []


def test_somebody_elses_custom_apis_are_left_alone(declared) -> None:
    theirs = {"uniquename": "abc_Theirs", "name": "x", "displayname": "x", "description": "x"}
    declared.client.create(Entity("customapi", attributes=theirs))
    assert declared.changed() == {}


def test_they_are_pulled_with_what_only_the_file_knows(declared) -> None:
    pulled = pull(declared.client, parse(FILE))
    assert pulled.registrations.custom_apis == parse(FILE).custom_apis
    assert [step.name for step in pulled.registrations.steps] == ["Tell"]
    [settle] = [api for name, api in pull(declared.client).registrations.custom_apis.items() if name == "new_Settle"]
    assert settle.plugin is None
    assert settle.request_parameters["Note"].optional


def test_what_a_python_plug_in_cannot_be_there_is_said_with_its_page() -> None:
    [note] = [note for note in remote_notes(parse(FILE)) if "custom API" in note.message]
    assert "new_Settle" in note.message
    assert "new_Settled" not in note.message
    assert note.url.startswith("https://learn.microsoft.com/")


def test_the_step_of_a_plug_in_is_known_by_its_name(declared) -> None:
    assert declared.step("Custom API new_Settle").id == step_id("Custom API new_Settle")
