"""The plug-in of a custom API, in an environment that can only tell of the call."""

from __future__ import annotations

import json

import pytest

from azure_bridge.secrets import Secrets
from dataverse_client.types import new_guid
from runner.intake.directory import StepDirectory
from runner.registrations.identity import custom_api_step, step_id
from runner.registrations.load import parse

FILE = """
custom_apis:
  new_Settle:
    plugin: settling:Settle
    request_parameters: { Amount: { type: Money } }
"""
PLUGIN = """
from runner.plugin import Plugin

CALLS = []


class Settle(Plugin):
    def execute(self, context):
        CALLS.append((context.message_name, context.stage, context.input_parameters["Amount"].value))
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    (tmp_path / "settling.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    from settling import CALLS

    return CALLS


def test_it_runs_when_the_call_is_told(elsewhere, calls) -> None:
    elsewhere.has_steps(*StepDirectory.of(parse(FILE), Secrets({})))
    amount = {"__type": "Money:http://schemas.microsoft.com/xrm/2011/Contracts", "Value": 5}
    told = {
        "MessageName": "new_Settle",
        "PrimaryEntityName": "none",
        "OperationId": new_guid(),
        "OwningExtension": {"LogicalName": "sdkmessageprocessingstep", "Id": step_id(custom_api_step("new_Settle"))},
        "Stage": 40,
        "Mode": 1,
        "InputParameters": [{"key": "Amount", "value": amount}],
        "OutputParameters": [],
    }
    elsewhere.notify([json.dumps(told).encode()])
    elsewhere.work()
    assert (calls, elsewhere.dead_letters()) == ([("new_Settle", 30, 5)], [])
