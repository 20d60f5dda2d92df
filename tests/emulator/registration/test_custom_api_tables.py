"""Custom APIs that are declared by rows, as deployment tools do it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from small_plugins import Do

from runner.emulator.registration.sdk_messages import filter_id, message_id
from runner.execution.step import Step, StepError


def an_api(**more):
    return {
        "uniquename": "new_Settle",
        "name": "Settle",
        "displayname": "Settle",
        "description": "Settles it.",
        "allowedcustomprocessingsteptype": 2,
        **more,
    }


def a_member(api_id, name, kind, **more):
    texts = dict.fromkeys(("name", "displayname", "description"), name)
    return {"uniquename": name, "type": kind, "CustomAPIId@odata.bind": f"/customapis({api_id})", **texts, **more}


@pytest.fixture
def settle(web):
    """``new_Settle(Amount, Note?) -> Reference``."""
    api_id = web.post("customapis", **an_api())
    web.post("customapirequestparameters", **a_member(api_id, "Amount", 8))
    web.post("customapirequestparameters", **a_member(api_id, "Note", 10, isoptional=True))
    web.post("customapiresponseproperties", **a_member(api_id, "Reference", 10))
    return api_id


def test_a_declared_api_can_be_called(web, settle) -> None:
    assert web.send("POST", "new_Settle", {"Amount": 19.99}).status == 204
    assert "needs request parameter 'Amount'" in web.refusal("POST", "new_Settle", Note="x").message
    assert "has no request parameter 'Other'" in web.refusal("POST", "new_Settle", Amount=1, Other=2).message


def test_its_message_can_be_listened_to_at_once(web, settle) -> None:
    assert web.get(f"sdkmessages({message_id('new_Settle')})")["name"] == "new_Settle"


def test_a_bound_api_has_a_filter_for_its_table(web) -> None:
    web.post("customapis", **an_api(bindingtype=1, boundentitylogicalname="account"))
    found = web.get(f"sdkmessagefilters({filter_id('new_Settle', 'account')})")
    assert found["primaryobjecttypecode"] == "account"
    account = web.post("accounts", name="Contoso")
    assert web.send("POST", f"accounts({account})/Microsoft.Dynamics.CRM.new_Settle", {}).status == 204


def test_a_function_is_asked_with_get(web) -> None:
    api_id = web.post("customapis", **an_api(isfunction=True))
    web.post("customapiresponseproperties", **a_member(api_id, "Reference", 10))
    assert web.send("GET", "new_Settle()").status == 204
    assert web.send("POST", "new_Settle", {}).status == 404


def test_a_function_that_answers_nothing_is_none(web) -> None:
    web.post("customapis", **an_api(isfunction=True))
    assert web.refusal("GET", "new_Settle()").code == 0x8006088A


def test_one_bound_to_a_collection_is_called_on_it(web) -> None:
    web.post("customapis", **an_api(bindingtype=2, boundentitylogicalname="account"))
    account = web.post("accounts", name="Contoso")
    assert web.send("POST", "accounts/Microsoft.Dynamics.CRM.new_Settle", {}).status == 204
    assert web.send("POST", f"accounts({account})/Microsoft.Dynamics.CRM.new_Settle", {}).status == 404
    assert web.send("POST", "contacts/Microsoft.Dynamics.CRM.new_Settle", {}).status == 404


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"uniquename": None}, 0x80040203),
        ({"uniquename": "Settle"}, 0x80040203),
        ({"bindingtype": 1}, 0x80041102),
        ({"bindingtype": 2, "boundentitylogicalname": "acount"}, 0x80041102),
    ],
    ids=["no name", "no prefix", "bound to nothing", "no such table"],
)
def test_what_nobody_could_call_is_refused(web, wrong, code) -> None:
    assert web.refusal("POST", "customapis", **an_api(**wrong)).code == code
    assert web.get("customapis")["value"] == []


def test_a_name_is_taken_once(web, settle) -> None:
    assert web.refusal("POST", "customapis", **an_api()).code == 0x80040237
    amount = a_member(settle, "Amount", 8)
    assert web.refusal("POST", "customapirequestparameters", **amount).code == 0x80040237


def test_a_parameter_has_a_type(web, settle) -> None:
    untyped = a_member(settle, "Date", None)
    assert "has no type" in web.refusal("POST", "customapirequestparameters", **untyped).message
    assert web.send("POST", "new_Settle", {"Amount": 1}).status == 204


#: AllowedCustomProcessingStepType -> the modes a custom step may have.
ALLOWED_MODES = {0: [], 1: [1], 2: [0, 1]}


@pytest.mark.behaviour(
    "Registration",
    "A custom API's allowedcustomprocessingsteptype says whether steps listen to it: none, asynchronous ones, all",
    "customapi-table-columns",
)
@pytest.mark.parametrize(("kind", "modes"), ALLOWED_MODES.items(), ids=["none", "asynchronous only", "all"])
def test_an_api_says_which_steps_may_listen(web, crm, kind, modes) -> None:
    web.post("customapis", **an_api(allowedcustomprocessingsteptype=kind))
    allowed = []
    for mode in (0, 1):
        with suppress(StepError):
            crm.register(Step(plugin=Do(print), message="new_Settle", stage=40, mode=mode))
            allowed.append(mode)
    assert allowed == modes


def test_a_deleted_api_is_gone_with_its_parameters(web, settle) -> None:
    web.delete(f"customapis({settle})")
    assert web.send("POST", "new_Settle", {"Amount": 1}).status == 404
    assert web.get("customapirequestparameters")["value"] == []


def test_a_row_of_a_step_is_refused_alike(web, webhook) -> None:
    web.post("customapis", **an_api(allowedcustomprocessingsteptype=0))
    step = {
        "name": "a hook",
        "mode": 0,
        "stage": 40,
        "sdkmessageid@odata.bind": f"/sdkmessages({message_id('new_Settle')})",
        "eventhandler_serviceendpoint@odata.bind": f"/serviceendpoints({webhook('https://example.com')})",
    }
    assert web.refusal("POST", "sdkmessageprocessingsteps", **step).code == 0x80044187
