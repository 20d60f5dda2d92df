"""What a step is told, stage by stage."""

from __future__ import annotations

from decimal import Decimal

import pytest
from emulator_samples import account

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityCollection,
    EntityReference,
    Money,
    OptionSetValue,
    OrganizationRequest,
)
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.seed import ADMINISTRATOR_ID, INTEGRATION_USER_ID, ROOT_BUSINESS_UNIT_ID, SYSTEM_USER_ID
from runner.execution.step import Image


@pytest.fixture
def seen(on):
    """``seen("Create", stage)`` registers a step and answers, after the operation, the context it had."""

    def register(message, stage, **more):
        contexts = []
        on(message, stage, **more)(contexts.append)
        return lambda: contexts[-1]

    return register


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


# --- where ----------------------------------------------------------------------------------------------------


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


@pytest.mark.behaviour("Context", "ParentContext carries the optional parameters of the request", "observed")
def test_the_parent_knows_the_optional_parameters(crm, seen):
    context = seen("Create", 40)
    crm.execute(OrganizationRequest("Create", {"Target": account(), "SuppressDuplicateDetection": True}))
    assert context().parent_context.input_parameters["SuppressDuplicateDetection"] is True


@pytest.mark.behaviour(
    "Context",
    "From stage 20 on optional parameters are found in ParentContext alone",
    "observed",
)
@pytest.mark.parametrize(("stage", "there"), [(10, True), (20, False), (40, False)])
def test_optional_parameters_are_left_to_the_parent(crm, seen, stage, there):
    context = seen("Create", stage)
    crm.execute(OrganizationRequest("Create", {"Target": account(), "SuppressDuplicateDetection": False, "tag": "t"}))
    assert set(context().input_parameters) == {"Target"} | ({"SuppressDuplicateDetection", "tag"} if there else set())


# --- outputs --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Context", "OutputParameters are empty before stage 40", "understand-the-data-context")
@pytest.mark.parametrize(("stage", "outputs"), [(10, []), (20, []), (40, ["id"])])
def test_outputs_are_there_after_the_operation_only(service, seen, stage, outputs):
    context = seen("Create", stage)
    service.create(account())
    assert list(context().output_parameters) == outputs


# --- the parent -----------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Context", "Stage 10 of a call from outside has no ParentContext", "observed")
def test_stage_10_of_a_call_from_outside_has_no_parent(service, seen):
    context = seen("Create", 10)
    service.create(account())
    assert context().parent_context is None


@pytest.mark.behaviour(
    "Context",
    'From stage 20 on ParentContext is the request itself at stage 30, by "ObjectModel Implementation"',
    "observed",
)
@pytest.mark.parametrize("stage", [20, 40])
def test_from_stage_20_on_the_parent_is_the_request_itself(service, seen, stage):
    context = seen("Create", stage)
    service.create(account())
    parent = context().parent_context
    assert (parent.stage, parent.message_name, parent.depth) == (30, "Create", 1)
    assert parent.correlation_id == context().correlation_id
    assert parent.owning_extension.name == "ObjectModel Implementation"
    assert parent.parent_context is None


@pytest.mark.behaviour(
    "Context", "The parent of a nested call is the step that made it, one less deep", "understand-the-data-context"
)
def test_the_parent_of_a_nested_call_is_the_step_that_made_it(service, on, seen):
    context = seen("Create", 10, entity="contact")

    @on("Create", 40, name="Outer")
    def nest(context):
        context.organization.create(Entity("contact", None, {"lastname": "Nancy"}))

    service.create(account())
    parent = context().parent_context
    assert (parent.owning_extension.name, parent.stage, context().depth) == ("Outer", 40, 2)


@pytest.mark.behaviour(
    "Context", "The parent of the Update a SetState raises holds the SetState's parameters", "observed"
)
def test_the_parent_of_a_state_change_holds_the_set_state_request(crm, service, seen):
    id = service.create(account())
    context = seen("Update", 20)
    parameters = {
        "EntityMoniker": EntityReference("account", id),
        "State": OptionSetValue(1),
        "Status": OptionSetValue(2),
    }
    crm.execute(OrganizationRequest("SetState", parameters))
    assert context().parent_context.message_name == "SetState"
    assert context().parent_context.input_parameters["State"] == OptionSetValue(1)


@pytest.mark.behaviour(
    "Context", "The parent of what the platform does to another row is the request about the first row", "observed"
)
def test_the_parent_of_a_related_row_is_the_creation_of_the_first(service, seen):
    context = seen("Create", 40, entity="contact")
    row = account()
    row.related_entities["contact_customer_accounts"] = EntityCollection(
        [Entity("contact", None, {"lastname": "Nancy"})]
    )
    id = service.create(row)
    parent = context().parent_context
    assert (parent.message_name, parent.primary_entity_name, parent.primary_entity_id) == ("Create", "account", id)
    assert (parent.target["name"], parent.target.id, "createdon" in parent.target) == ("Contoso", id, False)
    assert (parent.stage, parent.depth, context().depth) == (30, 1, 1)


def test_the_parent_of_a_deletion_that_cascades_is_the_deletion_that_began_it(service, seen):
    id = service.create(account())
    service.create(Entity("contact", None, {"lastname": "Nancy", "parentcustomerid": EntityReference("account", id)}))
    context = seen("Delete", 20, entity="contact")
    service.delete("account", id)
    parent = context().parent_context
    assert (parent.message_name, parent.primary_entity_name, parent.primary_entity_id) == ("Delete", "account", id)


# --- shared variables -----------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Shared variables",
    "What stage 10 of Create, Update and Delete shares is read through ParentContext at 20 and 40",
    "understand-the-data-context",
)
def test_what_stage_10_shares_is_read_through_the_parent(service, on, seen):
    @on("Create", 10)
    def share(context):
        context.shared_variables["key"] = "value"

    context = seen("Create", 20)
    service.create(account())
    assert context().shared_variables == {}
    assert context().parent_context.shared_variables == {"key": "value"}


@pytest.mark.behaviour("Shared variables", "Stages 20 and 40 share one collection", "understand-the-data-context")
def test_stages_20_to_40_share_one_collection(service, on, seen):
    @on("Create", 20)
    def share(context):
        context.shared_variables["key"] = "value"

    context = seen("Create", 40)
    service.create(account())
    assert context().shared_variables == {"key": "value"}


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


@pytest.mark.behaviour("Shared variables", "For other messages stage 10 shares directly", "understand-the-data-context")
def test_for_other_messages_stage_10_shares_directly(service, on, seen):
    @on("Retrieve", 10)
    def share(context):
        context.shared_variables["key"] = "value"

    context = seen("Retrieve", 40)
    service.retrieve("account", service.create(account()))
    assert context().shared_variables == {"key": "value"}


@pytest.mark.behaviour(
    "Shared variables",
    "Stage 40 reads what stage 20 put in place of what it found there",
    "understand-the-data-context",
)
def test_a_later_step_sees_what_an_earlier_one_made_of_a_variable(service, on, seen):
    @on("Create", 20, rank=1)
    def share(context):
        context.shared_variables["steps"] = ["first"]

    @on("Create", 20, rank=2)
    def share_more(context):
        context.shared_variables["steps"] += ["second"]

    context = seen("Create", 40)
    service.create(account())
    assert context().shared_variables == {"steps": ["first", "second"]}


@pytest.mark.behaviour(
    "Shared variables", "A nested call shares nothing with its caller but through the parents", "common"
)
def test_a_nested_call_reads_its_callers_variables_through_its_parents(service, on, seen):
    @on("Create", 40)
    def share(context):
        context.shared_variables["key"] = "value"
        context.organization.create(Entity("contact"))

    context = seen("Create", 20, entity="contact")
    service.create(account())
    request = context().parent_context
    assert (context().shared_variables, request.shared_variables) == ({}, {})
    assert request.parent_context.shared_variables == {"key": "value"}


@pytest.mark.behaviour(
    "Shared variables",
    "Asynchronous steps read what stage 10 shared through ParentContext",
    "understand-the-data-context",
)
def test_what_stage_10_shares_reaches_asynchronous_steps(crm, service, on, seen):
    @on("Create", 10)
    def share(context):
        context.shared_variables["key"] = "value"

    context = seen("Create", 40, mode=1)
    service.create(account())
    crm.run_jobs()
    assert context().parent_context.shared_variables == {"key": "value"}


@pytest.mark.behaviour("Shared variables", "A request's `tag` is a shared variable", "optional-parameters")
def test_the_tag_of_the_request_is_a_shared_variable(crm, seen):
    context = seen("Create", 20)
    crm.execute(OrganizationRequest("Create", {"Target": account()}), tag="import")
    assert context().shared_variables == {"tag": "import"}


@pytest.mark.behaviour("Shared variables", "A plug-in tags its calls by the parameter `tag`", "optional-parameters")
def test_a_plugin_tags_its_calls(service, on, seen):
    context = seen("Create", 20, entity="contact")

    @on("Create", 40)
    def nest(context):
        context.organization.execute(OrganizationRequest("Create", {"Target": Entity("contact"), "tag": "mine"}))

    service.create(account())
    assert context().shared_variables == {"tag": "mine"}


# --- images ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Images", "A pre-image holds the row before, a post-image after the operation; the id is always set", "observed"
)
def test_images_hold_the_row_before_and_after(service, seen):
    id = service.create(account())
    context = seen("Update", 40, images=(Image("row", "both", ("name",)),))
    service.update(account("Other", id))
    assert context().pre_image("row").attributes == {"name": "Contoso"}
    assert context().post_image("row").attributes == {"name": "Other"}
    assert context().post_image("row").id == id


@pytest.mark.behaviour(
    "Images", "An image registered without columns has every column that has a value", "understand-the-data-context"
)
def test_an_image_without_columns_has_all_that_have_a_value(service, seen):
    id = service.create(account(telephone1="1"))
    context = seen("Update", 20, images=(Image("before"),))
    service.update(account("Other", id))
    before = context().pre_image("before")
    assert (before["name"], before["telephone1"]) == ("Contoso", "1")
    assert "fax" not in before
    assert "createdon" in before


@pytest.mark.behaviour("Images", "Images have no row version", "observed")
@pytest.mark.parametrize("message", ["Create", "Update"])
def test_an_image_has_no_row_version(service, seen, message):
    id = service.create(account()) if message == "Update" else None
    context = seen(message, 40, images=(Image("after", "post"),))
    service.update(account("New", id)) if id else service.create(account("New"))
    assert context().post_image("after").row_version is None


@pytest.mark.behaviour("Images", "A column without a value is not in an image", "common")
def test_a_column_without_a_value_is_not_in_the_image(service, seen):
    id = service.create(account())
    context = seen("Update", 20, images=(Image("before", "pre", ("name", "telephone1")),))
    service.update(account("Other", id))
    assert list(context().pre_image("before").keys()) == ["name"]


@pytest.mark.behaviour("Images", "Images carry formatted values and the names of lookups", "observed")
def test_images_name_lookups_and_format_values(service, seen):
    id = service.create(account())
    context = seen("Update", 20, images=(Image("before", "pre", ("ownerid", "statecode")),))
    service.update(account("Other", id))
    before = context().pre_image("before")
    assert before["ownerid"].name
    assert before.formatted_values["statecode"] == "Active"


@pytest.mark.behaviour("Images", "Images are snapshots: changing one changes nothing else", "common")
def test_changing_an_image_changes_nobody_elses(service, on, seen):
    id = service.create(account())

    @on("Update", 20, images=(Image("before"),), rank=0)
    def spoil(context):
        context.pre_image("before")["name"] = "Spoiled"

    context = seen("Update", 20, images=(Image("before"),))
    service.update(account("Other", id))
    assert context().pre_image("before")["name"] == "Contoso"


@pytest.mark.behaviour(
    "Images", "A nested update of the row shows in the post-image and not in the pre-image", "common"
)
def test_an_image_taken_before_a_nested_update_does_not_follow_it(service, on, seen):
    id = service.create(account())

    @on("Update", 20, filtering_attributes={"name"})
    def nest(context):
        context.organization.update(Entity("account", id, {"telephone1": "1"}))

    context = seen("Update", 40, images=(Image("row", "both", ("telephone1",)),), filtering_attributes={"name"})
    service.update(account("Other", id))
    assert "telephone1" not in context().pre_image("row")
    assert context().post_image("row")["telephone1"] == "1"


@pytest.mark.behaviour("Images", "There is a pre-image at stage 10 too", "common")
def test_a_pre_image_is_there_at_stage_10_too(service, seen):
    id = service.create(account())
    context = seen("Update", 10, images=(Image("before", "pre", ("name",)),))
    service.update(account("Other", id))
    assert context().pre_image("before")["name"] == "Contoso"


@pytest.mark.behaviour("Images", "Assign and SetState have pre-images, and post-images at stage 40", "register-plug-in")
@pytest.mark.parametrize("message", ["Assign", "SetState"])
def test_specialized_updates_have_images(crm, service, seen, message):
    id = service.create(account())
    context = seen(message, 40, images=(Image("row", "both", ("ownerid", "statecode")),))
    row = EntityReference("account", id)
    parameters = {
        "Assign": {"Target": row, "Assignee": EntityReference("systemuser", INTEGRATION_USER_ID)},
        "SetState": {"EntityMoniker": row, "State": OptionSetValue(1), "Status": OptionSetValue(2)},
    }
    crm.execute(OrganizationRequest(message, parameters[message]))
    column, before, after = {
        "Assign": ("ownerid", EntityReference("systemuser", ADMINISTRATOR_ID), parameters["Assign"]["Assignee"]),
        "SetState": ("statecode", OptionSetValue(0), OptionSetValue(1)),
    }[message]
    assert (context().pre_image("row")[column], context().post_image("row")[column]) == (before, after)


@pytest.mark.behaviour("Images", "Create has a post-image at stage 40, Delete a pre-image", "register-plug-in")
def test_the_only_image_of_a_new_row_and_of_a_deleted_one(service, seen):
    created = seen("Create", 40, images=(Image("row", "post", ("name",)),))
    deleted = seen("Delete", 40, images=(Image("row", "pre", ("name",)),))
    id = service.create(account())
    service.delete("account", id)
    assert created().post_image("row") == deleted().pre_image("row") == Entity("account", id, {"name": "Contoso"})


@pytest.mark.behaviour("Images", "Pre-images of stage 20 show what stage 10 changed in the row", "common")
def test_a_pre_image_shows_what_stage_10_wrote(service, on, seen):
    id = service.create(account())

    @on("Update", 10, filtering_attributes={"name"})
    def nest(context):
        context.organization.update(Entity("account", id, {"telephone1": "1"}))

    context = seen("Update", 20, images=(Image("before"),), filtering_attributes={"name"})
    service.update(account("Other", id))
    assert context().pre_image("before")["telephone1"] == "1"


@pytest.mark.behaviour("Images", "Post-images of synchronous steps are one snapshot, taken after stage 30", "decided")
def test_a_post_image_does_not_show_what_an_earlier_step_wrote(service, on, seen):
    @on("Create", 40, rank=1)
    def nest(context):
        context.organization.update(Entity("account", context.primary_entity_id, {"telephone1": "1"}))

    context = seen("Create", 40, rank=2, images=(Image("after", "post"),))
    service.create(account())
    assert "telephone1" not in context().post_image("after")


# --- who ------------------------------------------------------------------------------------------------------


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


# --- ids ------------------------------------------------------------------------------------------------------


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
