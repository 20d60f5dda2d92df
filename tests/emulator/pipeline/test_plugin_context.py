"""What a step is told, stage by stage: Target, outputs, users and ids."""

from __future__ import annotations

from decimal import Decimal

import pytest
from emulator_samples import account

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityReference,
    Money,
    OrganizationRequest,
    new_guid,
)
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.seed import ADMINISTRATOR_ID, INTEGRATION_USER_ID, ROOT_BUSINESS_UNIT_ID, SYSTEM_USER_ID

# --- Target ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Context", "Before stage 30 Target has what was sent, the id and default choices, no system columns", "observed"
)
@pytest.mark.parametrize("stage", [10, 20])
def test_before_the_operation_target_has_what_was_sent_and_the_id(service, seen, stage):
    context = seen("Create", stage)
    id = service.create(account())
    target = context().target
    assert (target["name"], target.id, target["accountid"]) == ("Contoso", id, id)
    assert not {"createdon", "ownerid", "statecode", "modifiedby"} & set(target.keys())


def test_after_a_step_gave_the_row_another_id_the_context_has_that(service, on, seen):
    other = "11111111-1111-1111-1111-111111111111"

    @on("Create", 20)
    def rename(context):
        context.target.id = context.target["accountid"] = other

    context = seen("Create", 40)
    assert service.create(account()) == other
    assert context().primary_entity_id == other


@pytest.mark.behaviour(
    "Context", "At stage 40 of Create Target has the columns the platform set, `_base` amounts too", "observed"
)
def test_after_a_create_target_has_the_columns_the_platform_set(service, seen):
    context = seen("Create", 40)
    service.create(account(revenue=Money(Decimal("10"))))
    columns = set(context().target.keys())
    assert {
        "createdon",
        "createdby",
        "modifiedon",
        "ownerid",
        "owningbusinessunit",
        "statecode",
        "statuscode",
    } <= columns
    assert {"transactioncurrencyid", "exchangerate", "revenue_base"} <= columns


@pytest.mark.behaviour(
    "Context", "At stage 40 of Update Target has what was sent and the columns of the modification", "observed"
)
def test_after_an_update_target_has_only_what_changed(service, seen):
    id = service.create(account(telephone1="1"))
    context = seen("Update", 40)
    service.update(account("Other", id))
    assert set(context().target.keys()) == {"accountid", "name", "modifiedon", "modifiedby", "modifiedonbehalfby"}


@pytest.mark.behaviour("Context", "The parent's Target stays what the request sent", "observed")
def test_what_the_platform_set_never_shows_in_the_parents_target(service, seen):
    context = seen("Create", 40)
    service.create(account())
    parents = context().parent_context.input_parameters["Target"]
    assert "createdon" not in parents
    assert parents["name"] == "Contoso"


@pytest.mark.behaviour("Context", "Delete carries a reference as its Target", "org-service/use-messages")
def test_delete_carries_a_reference(service, seen):
    context = seen("Delete", 20)
    id = service.create(account())
    service.delete("account", id)
    assert context().input_parameters["Target"] == EntityReference("account", id)
    assert context().primary_entity_id == id


@pytest.mark.behaviour(
    "Context", "What stage 10 or 20 changes in Target is what later steps see", "understand-the-data-context"
)
@pytest.mark.parametrize("stage", [10, 20])
def test_later_steps_see_what_earlier_ones_changed(service, on, seen, stage):
    @on("Create", stage)
    def change(context):
        context.target["telephone1"] = "1"

    context = seen("Create", 40)
    service.create(account())
    assert context().target["telephone1"] == "1"


# --- outputs --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Context", "OutputParameters are empty before stage 40", "understand-the-data-context")
@pytest.mark.parametrize(("stage", "outputs"), [(10, []), (20, []), (40, ["id"])])
def test_outputs_are_there_after_the_operation_only(service, seen, stage, outputs):
    context = seen("Create", stage)
    service.create(account())
    assert list(context().output_parameters) == outputs


def test_the_collections_are_filled_not_replaced(service, on):
    refused = []

    @on("Create", 20)
    def replace(context):
        for name in ("input_parameters", "output_parameters", "shared_variables"):
            with pytest.raises(AttributeError):
                setattr(context, name, {})
            refused.append(name)

    service.create(account())
    assert len(refused) == 3


# --- where it runs --------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Context",
    "IsInTransaction is false at stage 10 from outside and in asynchronous steps, true at 20 and 40",
    "observed",
)
@pytest.mark.parametrize(
    ("moment", "inside"),
    [({"stage": 10}, False), ({"stage": 20}, True), ({"stage": 40}, True), ({"stage": 40, "mode": 1}, False)],
)
def test_whether_a_step_is_in_the_transaction(crm, service, on, moment, inside):
    seen = []
    on("Create", **moment)(lambda context: seen.append(context.is_in_transaction))
    service.create(account())
    crm.run_jobs()
    assert seen == [inside]


@pytest.mark.behaviour("Context", "IsolationMode of a plug-in is 2, sandbox", "observed")
def test_plugins_run_in_the_sandbox(service, seen):
    context = seen("Create", 20)
    service.create(account())
    assert context().isolation_mode == 2


@pytest.mark.behaviour("Context", 'A message about no table has the primary entity "none" and no id', "observed")
def test_a_message_about_no_table(crm, seen):
    context = seen("WhoAmI", 20, entity=None)
    crm.execute(OrganizationRequest("WhoAmI"))
    assert (context().primary_entity_name, context().secondary_entity_name) == ("none", "none")
    assert context().primary_entity_id == EMPTY_GUID


# --- users ----------------------------------------------------------------------------------------------------


def test_the_administrator_calls_unless_somebody_else_does(service, seen):
    context = seen("Create", 20)
    service.create(account())
    assert context().user_id == context().initiating_user_id == ADMINISTRATOR_ID
    assert context().business_unit_id == ROOT_BUSINESS_UNIT_ID


@pytest.mark.behaviour(
    "Context", "A step that impersonates has its own UserId and keeps InitiatingUserId", "impersonate-a-user"
)
def test_a_step_that_impersonates_keeps_the_initiating_user(crm, service, seen):
    context = seen("Create", 20, run_as=INTEGRATION_USER_ID)
    service.create(account())
    assert context().user_id == INTEGRATION_USER_ID
    assert context().initiating_user_id == ADMINISTRATOR_ID


@pytest.fixture
def users_of(crm, seen):
    """The initiating and authenticated user of a Create sent on behalf of the integration user."""
    context = seen("Create", 20)

    def send(authenticated_user_id):
        request = OrganizationRequest("Create", {"Target": account()})
        crm.execute(request, user_id=INTEGRATION_USER_ID, authenticated_user_id=authenticated_user_id)
        return context().initiating_user_id, context().authenticated_user_id

    return send


def test_who_calls_on_behalf_of_another_is_a_user_too(users_of):
    assert users_of(ADMINISTRATOR_ID.upper()) == (INTEGRATION_USER_ID, ADMINISTRATOR_ID)
    assert users_of(INTEGRATION_USER_ID.upper()) == (INTEGRATION_USER_ID, INTEGRATION_USER_ID)
    with pytest.raises(ObjectDoesNotExist):
        users_of(new_guid())


@pytest.mark.behaviour("Context", "Calls act as the step's user, as any other user, or as SYSTEM", "impersonate-a-user")
@pytest.mark.parametrize(
    ("organization", "creator"),
    [
        pytest.param(lambda context: context.organization, INTEGRATION_USER_ID, id="the step's user"),
        pytest.param(lambda context: context.organization_as(None), SYSTEM_USER_ID, id="SYSTEM"),
        pytest.param(
            lambda context: context.organization_as(context.initiating_user_id), ADMINISTRATOR_ID, id="the caller"
        ),
    ],
)
def test_rows_are_created_by_the_user_of_the_service(service, on, organization, creator):
    made = []

    @on("Create", 20, run_as=INTEGRATION_USER_ID)
    def nest(context):
        made.append(organization(context).create(Entity("contact", None, {"lastname": "Nancy"})))

    service.create(account())
    assert service.retrieve("contact", made[0])["createdby"].id == creator


def test_the_directory_id_is_that_of_the_steps_user(service, seen):
    directory_id = "11111111-2222-3333-4444-555555555555"
    service.update(Entity("systemuser", INTEGRATION_USER_ID, {"azureactivedirectoryobjectid": directory_id}))
    context = seen("Create", 40, run_as=INTEGRATION_USER_ID)
    service.create(account())
    assert context().user_azure_active_directory_object_id == directory_id
    assert context().initiating_user_azure_active_directory_object_id == EMPTY_GUID


def test_an_unknown_user_cannot_call(crm):
    with pytest.raises(ObjectDoesNotExist, match="systemuser With Id = 1111"):
        crm.service("11111111-1111-1111-1111-111111111111").create(account())


# --- ids and time ---------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Context", "CorrelationId is one for everything a call sets in motion, asynchronous steps included", "observed"
)
def test_the_correlation_is_one_for_everything_a_call_sets_in_motion(crm, service, on, seen):
    outer, nested = seen("Create", 40), seen("Create", 20, entity="contact")
    later = seen("Create", 40, entity="contact", mode=1)

    @on("Create", 40, rank=2)
    def nest(context):
        context.organization.create(Entity("contact", None, {"lastname": "Nancy"}))

    service.create(account())
    crm.run_jobs()
    assert outer().correlation_id == nested().correlation_id == later().correlation_id


@pytest.mark.behaviour("Context", "OperationId equals RequestId in synchronous steps", "observed")
def test_each_operation_has_an_id_that_is_its_request_id_too(service, seen):
    context = seen("Create", 40)
    service.create(account())
    first = context().operation_id
    service.create(account())
    assert context().operation_id == context().request_id != first


@pytest.mark.behaviour(
    "Context",
    "OperationCreatedOn is the time of the operation",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.operationcreatedon",
)
def test_the_clock_says_when_the_operation_was_created(service, seen, clock):
    context = seen("Create", 40)
    service.create(account())
    assert context().operation_created_on == clock.now()


@pytest.mark.parametrize("name", ["mode", "stage", "user_id", "depth", "parent_context", "pre_entity_images"])
def test_a_plugin_cannot_change_what_it_is_told(on, service, name):
    @on("Create", stage=20)
    def change(context):
        with pytest.raises(AttributeError, match=name):
            setattr(context, name, "elsewhere")

    service.create(account())
