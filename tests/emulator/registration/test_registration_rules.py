"""What no step may be: code, rows and the file refuse it with the same code of Dataverse's."""

from __future__ import annotations

import json

import pytest
from small_plugins import Do

from runner.emulator.custom_api import CustomApi
from runner.emulator.emulator import Emulator
from runner.execution.step import Image, Step, StepError
from runner.registrations.load import parse
from runner.registrations.problems import RegistrationError

NOTHING = Do(lambda context: None)


@pytest.fixture
def crm(clock):
    """Knows the type of one plug-in."""
    with Emulator([Step(plugin=NOTHING, message="Create", entity="account", stage=20)], clock=clock) as emulator:
        yield emulator


#: What is wrong with a step of Update of account at stage 40, and what every way to register it answers.
WRONG_EVERYWHERE = {
    "stage 30": ({"stage": 30}, 0x80044184),
    "stage 50": ({"stage": 50}, 0x80044184),
    "asynchronous at 10": ({"stage": 10, "mode": 1}, 0x80044184),
    "asynchronous at 20": ({"stage": 20, "mode": 1}, 0x80044184),
    "post-image at 10": ({"stage": 10, "image": "post"}, 0x8004416E),
    "both images at 20": ({"stage": 20, "image": "both"}, 0x8004416E),
    "pre-image of Create": ({"message": "Create", "image": "pre"}, 0x8004416D),
    "both images of CreateMultiple": ({"message": "CreateMultiple", "image": "both"}, 0x8004416D),
    "post-image of Delete at 20": ({"message": "Delete", "stage": 20, "image": "post"}, 0x8004416D),
    "image of Retrieve": ({"message": "Retrieve", "image": "pre"}, 0x80044189),
    "image of Associate": ({"message": "Associate", "entity": None, "image": "pre"}, 0x80044189),
    "Upsert": ({"message": "Upsert"}, 0x80044187),
    "ExecuteMultiple": ({"message": "ExecuteMultiple", "entity": None}, 0x80044187),
    "an alias of 257": ({"image": "pre", "alias": "a" * 257}, 0x80044331),
}


def _code_of_the_file(facts):
    image, alias = facts.pop("image"), facts.pop("alias")
    images = [{"type": image, "alias": alias}] if image else []
    step = {**facts, "name": "Wrong", "plugin": "a:B", "images": images}
    with pytest.raises(RegistrationError) as refused:
        parse(json.dumps({"steps": [{key: value for key, value in step.items() if value is not None}]}))
    facts |= {"image": image, "alias": alias}
    (problem,) = refused.value.problems
    return problem.code


def _code_of_the_rows(web, crm, facts):
    (plugin_type,) = web.get("plugintypes?$select=plugintypeid")["value"]
    body = web.a_step(
        facts["message"], facts["entity"] or "", plugin_type=plugin_type["plugintypeid"], stage=facts["stage"]
    )
    body["mode"] = facts["mode"]
    if facts["entity"] is None:
        del body["sdkmessagefilterid@odata.bind"]
    if facts["image"] is None or facts["message"] == "ExecuteMultiple":
        return web.refusal("POST", "sdkmessageprocessingsteps", **body).code
    step = web.post("sdkmessageprocessingsteps", **body)
    image = {
        "name": "image",
        "entityalias": facts["alias"],
        "imagetype": ("pre", "post", "both").index(facts["image"]),
        "messagepropertyname": {"Create": "Id", "CreateMultiple": "Ids"}.get(facts["message"], "Target"),
        "sdkmessageprocessingstepid@odata.bind": f"/sdkmessageprocessingsteps({step})",
    }
    return web.refusal("POST", "sdkmessageprocessingstepimages", **image).code


def _refusal_of_the_code(crm, facts):
    image = () if facts["image"] is None else (Image(facts["alias"], facts["image"]),)
    known = {key: facts[key] for key in ("message", "entity", "stage", "mode")}
    with pytest.raises(StepError) as refused:
        crm.register(Step(plugin=NOTHING, images=image, name="Wrong", **known))
    return str(refused.value)


@pytest.mark.behaviour(
    "Registration", "A step on a message, table or column there is not is refused", "register-plug-in"
)
@pytest.mark.parametrize(
    ("registration", "said"),
    [
        ({"message": "Creat"}, "no message 'Creat'.*0x80040217"),
        ({"message": "new_Capture"}, "no message 'new_Capture'.*custom API"),
        ({"entity": "acount"}, "no table 'acount'.*0x80041102"),
        ({"filtering_attributes": {"nam"}}, "no column 'nam'.*0x80041103"),
        ({"images": (Image("before", "pre", ("naem",)),)}, "no column 'naem'.*0x80041103"),
        ({"stage": 30}, "stage 30 is the platform's.*0x80044184"),
        ({"entity": "serviceendpoint"}, "no custom step runs on Update of serviceendpoint.*0x80044187"),
        ({"entity": "transactioncurrency", "message": "Assign"}, "no custom step runs on Assign.*0x80044187"),
        ({"entity": "salesorder", "message": "Merge"}, "no custom step runs on Merge of salesorder.*0x80044187"),
        ({"entity": "teammembership", "message": "Create"}, "no custom step runs on Create.*0x80044187"),
        ({"entity": "teammembership", "message": "UpdateMultiple"}, "no custom step runs on Update.*0x80044187"),
        ({"message": "AddMembers"}, "no custom step runs on AddMembers of account.*0x80044187"),
        ({"message": "RetrieveExchangeRate"}, "no custom step runs on RetrieveExchangeRate.*0x80044187"),
    ],
)
def test_a_step_that_would_never_run_is_refused(crm, registration, said):
    step = Step(plugin=NOTHING, **{"message": "Update", "entity": "account", "stage": 40, **registration})
    registered = crm.steps
    with pytest.raises(StepError, match=said):
        crm.register(step)
    assert crm.steps == registered


def test_a_step_may_listen_to_a_custom_api(crm):
    crm.register_api(CustomApi(name="new_Capture", plugin=None))
    crm.register(Step(plugin=NOTHING, message="new_Capture", stage=40))
    assert "new_Capture" in {step.message for step in crm.steps}


def test_a_step_in_code_names_the_table_its_custom_api_is_bound_to(crm) -> None:
    crm.register_api(CustomApi(name="new_Close", entity="account"))
    crm.register(Step(plugin=NOTHING, message="new_Close", entity="account", stage=40))
    with pytest.raises(StepError, match=r"new_Close is bound to account. Leave out entity .0x80044187"):
        crm.register(Step(plugin=NOTHING, message="new_Close", entity="contact", stage=40))


def test_a_step_that_was_refused_leaves_nothing_behind(crm) -> None:
    before, registered = crm.snapshot(), crm.steps
    with pytest.raises(StepError, match=r"'rank'.* outside the valid range"):
        crm.register(Step(plugin=NOTHING, message="Create", entity="account", stage=20, rank=2**31))
    crm.restore(before)
    assert crm.steps == registered


@pytest.mark.parametrize(("wrong", "code"), WRONG_EVERYWHERE.values(), ids=WRONG_EVERYWHERE)
def test_the_file_the_rows_and_the_code_refuse_the_same_with_the_same_code(web, crm, wrong, code) -> None:
    facts = {"message": "Update", "entity": "account", "stage": 40, "mode": 0, "image": None, "alias": "a"} | wrong
    assert _code_of_the_file(facts) == code
    assert _code_of_the_rows(web, crm, facts) == code
    assert f"(0x{code:08x})" in _refusal_of_the_code(crm, facts)
