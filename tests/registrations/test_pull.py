"""What is registered, written as a file."""

from __future__ import annotations

import pytest

from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.registrations.deploy.pull import UNKNOWN_PLUGIN, pull
from runner.registrations.identity import endpoint_id, step_id
from runner.registrations.load import parse


@pytest.fixture
def by_hand(deployed):
    """A step that somebody registered with another tool."""
    watch = deployed.step("Watch")
    columns = {name: watch[name] for name in ("sdkmessageid", "sdkmessagefilterid")}
    columns |= {"stage": OptionSetValue(40), "mode": OptionSetValue(1), "name": "hook: Update of account"}
    columns["eventhandler"] = EntityReference("serviceendpoint", endpoint_id("hook"))
    deployed.client.create(Entity("sdkmessageprocessingstep", None, columns))
    return deployed


def test_with_the_file_at_hand_the_same_comes_back(deployed):
    known = parse(deployed.text)
    pulled = pull(deployed.client, known)
    assert parse(pulled.to_yaml()) == known
    assert pulled.remarks == ()


def test_a_change_by_hand_comes_into_the_file(deployed):
    deployed.client.update(Entity("sdkmessageprocessingstep", step_id("Watch"), {"rank": 9}))
    pulled = pull(deployed.client, parse(deployed.text)).registrations
    assert [(step.plugin, step.rank) for step in pulled.steps if step.name == "Watch"] == [("a:C", 9)]


def test_without_a_file_what_dataverse_does_not_know_is_left_open(deployed):
    pulled = pull(deployed.client)
    read = parse(pulled.to_yaml())
    assert {step.plugin for step in read.steps} == {UNKNOWN_PLUGIN}
    assert read.endpoints["hook"].auth.value == "${env:HOOK_KEY}"
    assert pulled.remarks[0].startswith("Dataverse does not know the plug-ins of these steps, name them: Greet")


def test_what_was_pulled_asks_for_what_is_there(deployed):
    deployed.text = pull(deployed.client).to_yaml()
    assert deployed.changed() == {}


def test_a_step_of_others_is_pulled_under_its_whole_name(by_hand):
    pulled = pull(by_hand.client, parse(by_hand.text))
    assert pulled.registrations.steps[-1].name == "hook: Update of account"
    assert pulled.to_yaml().startswith("# Dataverse does not know the plug-ins of these steps")
    assert "registered by other means" in pulled.remarks[1]


def test_endpoints_the_product_cannot_serve_are_left_out(deployed):
    event_hub = {"name": "hub", "contract": OptionSetValue(7), "authtype": OptionSetValue(7)}
    deployed.emulator.records.create(Entity("serviceendpoint", None, event_hub), deployed.emulator.administrator_id)
    pulled = pull(deployed.client)
    assert "hub" not in pulled.registrations.endpoints
    assert pulled.remarks[-1].endswith("left out: hub")
