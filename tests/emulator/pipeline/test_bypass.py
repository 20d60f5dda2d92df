"""Which steps a request may leave out, and for what that holds."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import Entity, EntityReference, OrganizationRequest
from runner.emulator.call import Bypass
from runner.emulator.errors import InvalidArgument

PARAMETERS = {
    "custom sync": ({"BypassBusinessLogicExecution": "CustomSync"}, ["async"]),
    "custom async": ({"BypassBusinessLogicExecution": "CustomAsync"}, ["sync"]),
    "both": ({"BypassBusinessLogicExecution": "CustomSync,CustomAsync"}, []),
    "a step": ({"BypassBusinessLogicExecutionStepIds": "22222222-2222-2222-2222-222222222222"}, ["async"]),
    "the old way": ({"BypassCustomPluginExecution": True}, ["async"]),
}


@pytest.mark.behaviour("Bypassing", "CustomSync leaves out synchronous steps only", "bypass-custom-business-logic")
def test_bypassing_synchronous_steps_leaves_asynchronous_ones(crm, ran):
    labels = ran("Create", 20, "sync")
    ran("Create", 40, "async", mode=1)
    crm.execute(OrganizationRequest("Create", {"Target": account()}), bypass=Bypass(custom_sync=True))
    crm.run_jobs()
    assert labels == ["async"]


@pytest.mark.behaviour("Bypassing", "CustomAsync leaves out asynchronous steps only", "bypass-custom-business-logic")
def test_bypassing_asynchronous_steps_leaves_synchronous_ones(crm, ran):
    labels = ran("Create", 20, "sync")
    ran("Create", 40, "async", mode=1)
    crm.execute(OrganizationRequest("Create", {"Target": account()}), bypass=Bypass(custom_async=True))
    assert crm.run_jobs() == 0
    assert labels == ["sync"]


@pytest.mark.behaviour("Bypassing", "Steps can be left out by their ids", "bypass-custom-business-logic")
def test_bypassing_one_step_by_its_id(crm, ran):
    id = "22222222-2222-2222-2222-222222222222"
    labels = ran("Create", 20, "bypassed", id=id)
    ran("Create", 20, "other")
    request = OrganizationRequest("Create", {"Target": account()})
    crm.execute(request, bypass=Bypass(step_ids=frozenset({id})))
    assert labels == ["other"]


def test_ids_of_steps_may_be_spelled_in_any_way(crm, ran):
    labels = ran("Create", 20, "bypassed", id="2222222a-2222-2222-2222-222222222222")
    spelled = {"BypassBusinessLogicExecutionStepIds": " {2222222A-2222-2222-2222-222222222222} ,"}
    crm.execute(OrganizationRequest("Create", {"Target": account(), **spelled}))
    assert labels == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"BypassBusinessLogicExecution": "Sync"},
        {"BypassBusinessLogicExecution": True},
        {"BypassBusinessLogicExecutionStepIds": "not an id"},
        {"BypassBusinessLogicExecutionStepIds": ["22222222-2222-2222-2222-222222222222"]},
    ],
    ids=str,
)
def test_what_cannot_be_bypassed_is_refused(crm, wrong):
    (name,) = wrong
    with pytest.raises(InvalidArgument, match=name):
        crm.execute(OrganizationRequest("Create", {"Target": account(), **wrong}))


@pytest.mark.behaviour(
    "Bypassing", "What is bypassed is bypassed for rows a deletion takes along, too", "bypass-custom-business-logic"
)
def test_bypassing_holds_for_what_the_platform_sets_in_motion(crm, service, ran):
    company = service.create(account())
    service.create(Entity("contact", None, {"parentcustomerid": EntityReference("account", company)}))
    labels = ran("Delete", 20, "contact deleted", entity="contact")
    request = OrganizationRequest("Delete", {"Target": EntityReference("account", company)})
    crm.execute(request, bypass=Bypass(custom_sync=True))
    assert labels == []


@pytest.mark.behaviour("Bypassing", "What is bypassed is not bypassed for the calls of a plug-in", "decided")
@pytest.mark.parametrize(("caller", "listener"), [(0, 1), (1, 0)], ids=["synchronous caller", "asynchronous caller"])
def test_bypassing_ends_where_a_plugin_calls(crm, on, ran, caller, listener):
    """The request leaves out steps of the listener's mode, which the plug-in's own call wakes all the same."""
    labels = ran("Create", 40, "contact created", entity="contact", mode=listener)
    on("Create", 40, mode=caller)(lambda context: context.organization.create(Entity("contact")))
    bypass = Bypass(custom_sync=listener == 0, custom_async=listener == 1)
    crm.execute(OrganizationRequest("Create", {"Target": account()}), bypass=bypass)
    crm.run_jobs()
    assert labels == ["contact created"]


@pytest.mark.behaviour("Bypassing", "A plug-in bypasses by optional parameters of its request", "optional-parameters")
@pytest.mark.parametrize(("optional", "left"), PARAMETERS.values(), ids=PARAMETERS)
def test_bypassing_is_a_parameter_of_the_request(crm, on, ran, optional, left):
    labels = ran("Create", 20, "sync", entity="contact", id="22222222-2222-2222-2222-222222222222")
    ran("Create", 40, "async", entity="contact", mode=1)

    @on("Create", 40)
    def nest(context):
        context.organization.execute(OrganizationRequest("Create", {"Target": Entity("contact"), **optional}))

    crm.service().create(account())
    crm.run_jobs()
    assert labels == left
