"""Custom APIs that are declared by rows, as deployment tools do it."""

from __future__ import annotations

import pytest

from runner.emulator.registration.sdk_messages import filter_id, message_id


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
    web.post("customapis", **an_api(isfunction=True))
    assert web.send("GET", "new_Settle()").status == 204
    assert web.send("POST", "new_Settle", {}).status == 404


def test_a_deleted_api_is_gone_with_its_parameters(web, settle) -> None:
    web.delete(f"customapis({settle})")
    assert web.send("POST", "new_Settle", {"Amount": 1}).status == 404
    assert web.get("customapirequestparameters")["value"] == []
