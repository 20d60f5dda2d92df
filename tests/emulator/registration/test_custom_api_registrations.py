"""Custom APIs as registrations.yaml declares them."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from pathlib import Path

import pytest

from azure_bridge.secrets import Secrets
from dataverse_client.types import Money, OrganizationRequest
from runner.emulator.custom_api import custom_apis_from
from runner.emulator.emulator import Emulator
from runner.emulator.errors import InvalidArgument
from runner.registrations.load import parse

PLUGIN = """
from dataverse_client.types import Money
from runner.plugin import Plugin


class Quote(Plugin):
    def execute(self, context):
        amount = context.input_parameters["Amount"].value
        context.output_parameters["Quote"] = Money(amount * self.configuration["times"])
"""

REGISTRATIONS = """
custom_apis:
  new_Quote:
    plugin: quotes_of_this_test:Quote
    configuration: { times: 2 }
    request_parameters:
      Amount: { type: Money }
      Hurry: { type: Boolean, optional: true }
    response_properties: { Quote: Money }
"""


@pytest.fixture
def crm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    (tmp_path / "quotes_of_this_test.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    emulator = Emulator()
    for api in custom_apis_from(parse(textwrap.dedent(REGISTRATIONS)), Secrets.from_environment({})):
        emulator.register_api(api)
    return emulator


def test_its_plugin_answers_with_its_configuration(crm: Emulator) -> None:
    answer = crm.execute(OrganizationRequest("new_Quote", {"Amount": Money(Decimal("7.50"))}))
    assert answer.results == {"Quote": Money(Decimal("15.00"))}


def test_its_parameters_have_the_types_declared(crm: Emulator) -> None:
    with pytest.raises(InvalidArgument, match="'Amount' takes Money, not str"):
        crm.execute(OrganizationRequest("new_Quote", {"Amount": "7.50"}))
