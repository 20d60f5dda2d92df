"""Custom APIs called over the Web API."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dataverse_client.types import EntityReference, Money
from runner.emulator.custom_api import CustomApi, ParameterType, RequestParameter
from runner.plugin import Plugin

MISSING = "00000000-0000-0000-0000-00000000dead"


class Discount(Plugin):
    def execute(self, context):
        amount, percent = context.input_parameters["Amount"], context.input_parameters.get("Percent", Decimal(10))
        context.output_parameters["Reduced"] = Money(amount.value * (100 - percent) / 100)


class Describe(Plugin):
    def execute(self, context):
        row = context.organization.retrieve("account", context.input_parameters["Target"].id, ["name"])
        context.output_parameters["Row"] = row
        context.output_parameters["Owner"] = EntityReference("systemuser", context.user_id)


@pytest.fixture(autouse=True)
def apis(emulator):
    amount = {"Amount": RequestParameter(ParameterType.MONEY)}
    percent = {"Percent": RequestParameter(ParameterType.DECIMAL, optional=True)}
    reduced = {"Reduced": ParameterType.MONEY}
    for name, is_function in (("new_Discount", False), ("new_GetDiscount", True)):
        emulator.register_api(
            CustomApi(
                name=name,
                plugin=Discount(),
                request_parameters=amount | percent,
                response_properties=reduced,
                is_function=is_function,
            )
        )
    answer = {"Row": ParameterType.ENTITY, "Owner": ParameterType.ENTITY_REFERENCE}
    emulator.register_api(
        CustomApi(name="new_Describe", plugin=Describe(), entity="account", response_properties=answer)
    )


def test_an_action_takes_its_parameters_from_the_body(crm):
    response = crm.post("new_Discount", {"Amount": Decimal("19.99"), "Percent": 50})
    assert response.json()["Reduced"] == Decimal("9.995")


@pytest.mark.parametrize("call", ["new_GetDiscount(Amount=10)", "new_GetDiscount(Amount=@p)?@p=10"])
def test_a_function_takes_them_from_the_url(crm, call):
    assert crm.get(call)["Reduced"] == 9


@pytest.mark.parametrize("name", ["message", "self"])
def test_a_parameter_may_have_any_name(crm, emulator, name):
    class Echo(Plugin):
        def execute(self, context):
            context.output_parameters["Said"] = context.input_parameters[name]

    text = {name: RequestParameter(ParameterType.STRING)}
    emulator.register_api(
        CustomApi(
            name="new_Echo", plugin=Echo(), request_parameters=text, response_properties={"Said": ParameterType.STRING}
        )
    )
    assert crm.post("new_Echo", {name: "hello"}).json()["Said"] == "hello"


def test_a_bound_action_is_called_on_its_row(crm, emulator):
    account = crm.create("accounts", name="Contoso")
    answer = crm.post(f"accounts({account})/Microsoft.Dynamics.CRM.new_Describe", {}).json()
    assert answer["Row"]["@odata.type"] == "#Microsoft.Dynamics.CRM.account"
    assert answer["Row"]["name"] == "Contoso"
    assert answer["Owner"]["systemuserid"] == emulator.administrator_id


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "new_Discount", {}, 400),
        ("POST", "new_Discount", {"Amount": "ten"}, 400),
        ("POST", "new_Discount", {"Amount": 1, "Other": 1}, 400),
        ("GET", "new_Discount(Amount=1)", None, 404),
        ("POST", "new_GetDiscount", {"Amount": 1}, 404),
        ("POST", "new_Describe", {}, 404),
        ("POST", f"contacts({MISSING})/Microsoft.Dynamics.CRM.new_Describe", {}, 404),
        ("POST", f"accounts({MISSING})/Microsoft.Dynamics.CRM.new_Describe", {}, 404),
    ],
)
def test_a_call_that_does_not_fit_is_refused(crm, method, path, body, status):
    assert crm.send(method, path, body).status == status
