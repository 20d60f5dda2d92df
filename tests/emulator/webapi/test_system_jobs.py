"""System jobs as a client of the Web API sees them."""

from __future__ import annotations

import pytest
from emulator_samples import refuse
from small_plugins import Do

from runner.emulator.seed import ADMINISTRATOR_ID, INTEGRATION_USER_ID
from runner.execution.step import Step

#: The query of Microsoft's page, less what is only about other jobs.
DOCUMENTED = (
    "asyncoperations?$select=asyncoperationid,completedon,createdon,data,dependencytoken,depth,errorcode,"
    "executiontimespan,friendlymessage,iswaitingforevent,message,messagename,modifiedon,name,operationtype,"
    "_ownerid_value,postponeuntil,primaryentitytype,recurrencepattern,recurrencestarttime,_regardingobjectid_value,"
    "retrycount,sequence,startedon,statecode,utcconversiontimezonecode,workflowstagename"
    "&$expand=createdby($select=fullname),modifiedby($select=fullname),owningbusinessunit($select=name),"
    "owningextensionid($select=name),owningteam($select=name),owninguser($select=fullname)"
)


@pytest.fixture
def later(emulator):
    """``later(work)`` registers an asynchronous step on Create; answers its id."""

    def register(work, message="Create", entity="account", name="Later", **more):
        step = Step(plugin=Do(work), message=message, entity=entity, stage=40, mode=1, name=name, **more)
        emulator.register(step)
        return step.id

    return register


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "Microsoft's query of all columns of jobs, with its $expand, is answered",
    "asynchronous-service",
)
def test_the_documented_query_is_answered(crm, later):
    later(lambda context: None)
    id = crm.create("accounts", name="Contoso")
    (job,) = crm.get(DOCUMENTED)["value"]
    assert (job["_regardingobjectid_value"], job["owningextensionid"]["name"]) == (id, "Later")
    assert job["owninguser"]["systemuserid"] == ADMINISTRATOR_ID


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "regardingobjectid is a lookup to whatever table; the row has its jobs as Account_AsyncOperations",
    "reference/entities/asyncoperation",
)
def test_a_job_leads_to_its_row_and_back(crm, later):
    later(lambda context: None)
    id = crm.create("accounts", name="Contoso")
    (job,) = crm.get("asyncoperations?$expand=regardingobjectid_account($select=name)")["value"]
    assert job["regardingobjectid_account"]["name"] == "Contoso"
    account = crm.get(f"accounts({id})?$expand=Account_AsyncOperations($select=statuscode)")
    assert [each["statuscode"] for each in account["Account_AsyncOperations"]] == [0]


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "Failed jobs of a step are found by _owningextensionid_value",
    "reference/entities/asyncoperation",
)
def test_the_failed_jobs_of_a_step_are_found(crm, emulator, later):
    later(lambda context: None)
    step = later(refuse, name="Fails")
    crm.create("accounts", name="Contoso")
    emulator.run_jobs()
    found = crm.get(f"asyncoperations?$filter=statuscode eq 31 and _owningextensionid_value eq {step}")["value"]
    assert [(job["message"], job["errorcode"]) for job in found] == [("No.", -2147220891)]


@pytest.mark.behaviour("Asynchronous jobs", "The owner of a job is the user it runs as", "common")
@pytest.mark.parametrize(("run_as", "owner"), [(None, ADMINISTRATOR_ID), (INTEGRATION_USER_ID, INTEGRATION_USER_ID)])
def test_a_job_belongs_to_the_user_it_runs_as(crm, later, run_as, owner):
    later(lambda context: None, run_as=run_as)
    crm.create("accounts", name="Contoso")
    assert [job["_ownerid_value"] for job in crm.get("asyncoperations")["value"]] == [owner]


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "Jobs stay when the row they are regarding, or their step, is deleted",
    "reference/entities/asyncoperation",
)
def test_a_job_outlives_its_row_and_its_step(crm, emulator, later):
    step = later(lambda context: None)
    later(lambda context: None, "Delete")
    id = crm.create("accounts", name="Contoso")
    crm.delete(f"accounts({id})")
    emulator.run_jobs()
    crm.delete(f"sdkmessageprocessingsteps({step})")
    jobs = crm.get("asyncoperations?$select=messagename,_regardingobjectid_value&$orderby=createdon")["value"]
    assert [(job["messagename"], job["_regardingobjectid_value"]) for job in jobs] == [("Create", id), ("Delete", id)]


def test_a_job_is_postponed_and_resumed_with_patch(crm, emulator, later):
    later(lambda context: None)
    crm.create("accounts", name="Contoso")
    (job,) = crm.get("asyncoperations?$select=name")["value"]
    path = f"asyncoperations({job['asyncoperationid']})"
    assert crm.patch(path, {"postponeuntil": "2099-01-01T00:00:00Z"}).status == 204
    assert (emulator.run_jobs(), crm.get(path)["statecode"]) == (0, 1)
    assert crm.patch(path, {"statecode": 0, "statuscode": 0}).status == 204
    assert (emulator.run_jobs(), crm.get(path)["statuscode"]) == (1, 30)


def test_a_change_no_job_allows_is_refused_with_its_code(crm, emulator, later):
    later(lambda context: None)
    crm.create("accounts", name="Contoso")
    emulator.run_jobs()
    (job,) = crm.get("asyncoperations?$select=name")["value"]
    answer = crm.patch(f"asyncoperations({job['asyncoperationid']})", {"statecode": 0})
    assert (answer.status, answer.json()["error"]["code"]) == (400, "0x80044166")


def test_jobs_may_be_regarding_rows_of_a_table_of_ones_own_even_when_it_is_gone(crm, later):
    label = {"@odata.type": "Microsoft.Dynamics.CRM.Label", "LocalizedLabels": [{"Label": "X", "LanguageCode": 1033}]}
    name = {
        "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
        "SchemaName": "sample_Name",
        "MaxLength": 100,
        "IsPrimaryName": True,
        "DisplayName": label,
    }
    table = {
        "SchemaName": "sample_Bond",
        "DisplayName": label,
        "DisplayCollectionName": label,
        "OwnershipType": "UserOwned",
    }
    assert crm.post("EntityDefinitions", {**table, "Attributes": [name]}).status == 204
    step = later(lambda context: None, entity="sample_bond")
    id = crm.create("sample_bonds", sample_name="A")
    (job,) = crm.get("asyncoperations?$expand=regardingobjectid_sample_bond($select=sample_name)")["value"]
    assert job["regardingobjectid_sample_bond"]["sample_name"] == "A"
    crm.delete(f"sdkmessageprocessingsteps({step})")
    assert crm.delete("EntityDefinitions(LogicalName='sample_bond')").status == 204
    assert [job["_regardingobjectid_value"] for job in crm.get("asyncoperations")["value"]] == [id]
