"""Messages of one's own."""

from __future__ import annotations

from datetime import datetime

import pytest
from emulator_samples import account

from dataverse_client.types import Entity, EntityCollection, EntityReference, OrganizationRequest
from runner.emulator.custom_api import CustomApi, ParameterType, RequestParameter
from runner.emulator.errors import InvalidArgument
from runner.emulator.plugin_faults import IsvAborted
from runner.execution.step import StepError
from runner.plugin import InvalidPluginExecutionException, Plugin


class Add(Plugin):
    def execute(self, context):
        numbers = context.input_parameters
        context.output_parameters["Sum"] = numbers["A"] + numbers.get("B", 0)
        context.output_parameters["Undeclared"] = "never answered"


class Rename(Plugin):
    def execute(self, context):
        reference = context.input_parameters["Target"]
        context.organization.update(Entity(reference.logical_name, reference.id, {"name": "Renamed"}))
        if context.input_parameters.get("Fail"):
            raise InvalidPluginExecutionException("Told to.")


INTEGER = RequestParameter(ParameterType.INTEGER)
ADD = CustomApi(
    name="new_Add",
    plugin=Add(),
    request_parameters={"A": INTEGER, "B": RequestParameter(ParameterType.INTEGER, optional=True)},
    response_properties={"Sum": ParameterType.INTEGER},
)
RENAME = CustomApi(
    name="new_Rename",
    plugin=Rename(),
    entity="account",
    request_parameters={"Fail": RequestParameter(ParameterType.BOOLEAN, optional=True)},
)


@pytest.fixture(autouse=True)
def registered(crm):
    crm.register_api(ADD)
    crm.register_api(RENAME)


@pytest.mark.behaviour("Messages", "A custom API's plug-in is its main operation, stage 30", "custom-api")
def test_its_plugin_is_the_main_operation(send):
    assert send("new_Add", A=1, B=2) == {"Sum": 3}


def test_its_plugin_does_not_change_what_the_caller_holds(crm, send):
    class Change(Plugin):
        def execute(self, context):
            context.input_parameters["Row"]["name"] = "Changed"
            context.input_parameters["Rows"][0]["name"] = "Changed"

    row, rows = RequestParameter(ParameterType.ENTITY), RequestParameter(ParameterType.ENTITY_COLLECTION)
    crm.register_api(CustomApi(name="new_Change", plugin=Change(), request_parameters={"Row": row, "Rows": rows}))
    given, many = account(), EntityCollection([account()])
    send("new_Change", Row=given, Rows=many)
    assert (given["name"], many[0]["name"]) == ("Contoso", "Contoso")


@pytest.mark.behaviour("Messages", "A step at stage 40 may change what a custom API answers", "custom-api")
def test_a_step_after_it_may_change_the_answer(send, on):
    @on("new_Add", 40, entity=None)
    def round_up(context):
        context.output_parameters["Sum"] += 7

    assert send("new_Add", A=1, B=2) == {"Sum": 10}


@pytest.mark.behaviour("Messages", "A step at stage 20 may change what a custom API is asked", "custom-api")
def test_a_step_before_it_may_change_the_question(send, on):
    @on("new_Add", 20, entity=None)
    def double(context):
        context.input_parameters["A"] *= 2

    assert send("new_Add", A=1) == {"Sum": 2}


@pytest.mark.behaviour(
    "Messages", "A custom API takes the request parameters it declares, of their types", "custom-api"
)
@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        pytest.param({}, "needs request parameter 'A'", id="missing"),
        pytest.param({"A": "one"}, "'A' takes int, not str", id="wrong type"),
        pytest.param({"A": True}, "'A' takes int, not bool", id="a boolean is no number"),
        pytest.param({"A": 1, "C": 1}, "no request parameter 'C'", id="unknown"),
    ],
)
def test_parameters_are_those_declared(send, parameters, said):
    with pytest.raises(InvalidArgument, match=said):
        send("new_Add", **parameters)


def test_optional_parameters_need_no_declaration(send):
    assert send("new_Add", A=1, tag="import") == {"Sum": 1}


@pytest.mark.behaviour("Messages", "A custom API bound to a table takes the row as its Target", "custom-api")
def test_one_bound_to_a_table_is_about_a_row(send, service, names):
    id = service.create(Entity("account", None, {"name": "Contoso"}))
    assert send("new_Rename", Target=EntityReference("account", id)) == {}
    assert names() == ["Renamed"]


@pytest.mark.behaviour("Transactions", "A custom API's plug-in runs inside the transaction", "custom-api")
def test_its_plugin_runs_in_the_transaction(send, service, names):
    id = service.create(Entity("account", None, {"name": "Contoso"}))
    with pytest.raises(IsvAborted, match="Told to"):
        send("new_Rename", Target=EntityReference("account", id), Fail=True)
    assert names() == ["Contoso"]


@pytest.mark.behaviour(
    "Messages", "A custom API without a plug-in is an event that steps are registered on", "custom-api"
)
def test_without_a_plugin_it_is_an_event_to_register_on(crm, on):
    ran = []
    crm.register_api(CustomApi(name="new_Event", request_parameters={"What": RequestParameter(ParameterType.STRING)}))
    on("new_Event", 40, entity=None)(lambda context: ran.append(context.input_parameters["What"]))
    crm.execute(OrganizationRequest("new_Event", {"What": "happened"}))
    assert ran == ["happened"]


def test_one_bound_to_a_table_takes_no_row_of_another(send):
    with pytest.raises(InvalidArgument, match="bound to account, not to contact"):
        send("new_Rename", Target=EntityReference("contact", "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [(ParameterType.DECIMAL, 7), (ParameterType.FLOAT, 7), (ParameterType.STRING_ARRAY, ["a", "b"])],
)
def test_a_parameter_takes_what_says_the_same_without_loss(crm, send, kind, value):
    class Echo(Plugin):
        def execute(self, context):
            context.output_parameters["Out"] = context.input_parameters["In"]

    parameters, properties = {"In": RequestParameter(kind)}, {"Out": kind}
    crm.register_api(
        CustomApi(name="new_Echo", plugin=Echo(), request_parameters=parameters, response_properties=properties)
    )
    assert send("new_Echo", In=value)["Out"] == (("a", "b") if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (ParameterType.INTEGER, 2**31, "int of 32 bits, not 2147483648"),
        (ParameterType.GUID, "one", "str that is a GUID, not 'one'"),
        (ParameterType.STRING_ARRAY, ("a", 1), r"tuple of str, not \('a', 1\)"),
        (ParameterType.DATE_TIME, datetime(2026, 1, 31), "datetime with a time zone"),  # noqa: DTZ001
    ],
    ids=lambda value: value.name if isinstance(value, ParameterType) else "",
)
def test_a_parameter_takes_what_dataverse_can_hold(crm, send, kind, value, said):
    crm.register_api(CustomApi(name="new_Take", request_parameters={"In": RequestParameter(kind)}))
    with pytest.raises(InvalidArgument, match=said):
        send("new_Take", In=value)


@pytest.mark.parametrize("spelled", [str.upper, "{{{}}}".format], ids=["upper case", "braces"])
def test_the_row_it_is_about_may_be_spelled_in_any_way(service, send, on, spelled):
    seen = []
    on("new_Rename", 40)(
        lambda context: seen.append((context.input_parameters["Target"].id, context.primary_entity_id))
    )
    id = service.create(Entity("account", None, {"name": "Contoso"}))
    send("new_Rename", Target=EntityReference("account", spelled(id)))
    assert seen == [(id, id)]


@pytest.mark.behaviour(
    "Messages", "A custom API bound to a table's rows as a whole takes no Target", "customapi-table-columns"
)
def test_one_bound_to_a_collection_has_no_target(crm, send, service):
    crm.register_api(CustomApi(name="new_Tidy", entity="account", on_collection=True))
    assert send("new_Tidy") == {}
    with pytest.raises(InvalidArgument, match="no request parameter 'Target'"):
        send("new_Tidy", Target=EntityReference("account", service.create(Entity("account"))))


@pytest.mark.behaviour("Bypassing", "A custom API's own plug-in is not left out", "decided")
def test_bypassing_leaves_out_added_logic_and_not_the_operation(send, on):
    ran = []
    on("new_Add", 40, entity=None)(lambda context: ran.append("step"))
    assert send("new_Add", A=1, B=2, BypassBusinessLogicExecution="CustomSync") == {"Sum": 3}
    assert ran == []


@pytest.mark.parametrize(
    ("api", "said"),
    [
        (CustomApi(name="Create"), "the platform has a message of that name"),
        (CustomApi(name="new_Close", entity="acount"), "no table 'acount'"),
    ],
)
def test_what_could_never_be_called_is_refused(crm, api, said):
    with pytest.raises(StepError, match=said):
        crm.register_api(api)
