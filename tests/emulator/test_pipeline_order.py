"""Which steps run for an operation, and in which order."""

from __future__ import annotations

import contextlib

import pytest
from emulator_samples import account

from dataverse_client.types import Entity, EntityCollection, EntityReference, OrganizationRequest, QueryExpression
from runner.emulator.call import Bypass
from runner.emulator.errors import InvalidArgument, ObjectDoesNotExist
from runner.emulator.plugin_faults import SdkCorrelationTokenDepthTooHigh, TransactionNotStarted
from runner.execution.step import Image


@pytest.fixture
def ran(on):
    """``ran("Create", stage, label)`` registers a step that adds its label to the list it returns."""
    labels = []

    def register(message, stage, label, **more):
        on(message, stage, name=label, **more)(lambda context: labels.append(label))
        return labels

    return register


@pytest.mark.behaviour("Order and filtering", "Stages run in the order 10, 20, 40", "event-framework")
def test_stages_run_in_order_however_they_were_registered(service, ran):
    for stage in (40, 10, 20):
        labels = ran("Create", stage, stage)
    service.create(account())
    assert labels == [10, 20, 40]


@pytest.mark.behaviour(
    "Order and filtering", "Within a stage the rank decides; steps of equal rank run by name", "decided"
)
def test_within_a_stage_the_rank_decides_then_the_name(service, ran):
    for rank, label in ((2, "a"), (1, "c"), (1, "b"), (-1, "z")):
        labels = ran("Create", 20, label, rank=rank)
    service.create(account())
    assert labels == ["z", "b", "c", "a"]


@pytest.mark.behaviour("Order and filtering", "A step without a table runs for every table", "register-plug-in")
def test_a_step_without_a_table_runs_for_every_table(service, ran):
    labels = ran("Create", 20, "any", entity=None)
    service.create(account())
    service.create(Entity("contact", None, {"lastname": "Nancy"}))
    assert labels == ["any", "any"]


def test_messages_are_named_whatever_their_case(service, ran):
    labels = ran("create", 20, "ran")
    service.create(account())
    assert labels == ["ran"]


# --- filtering attributes -------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Order and filtering",
    "Filtering attributes match columns the request carries, changed or not, in any case",
    "best-practices/business-logic/include-filtering-attributes-plugin-registration",
)
@pytest.mark.parametrize(
    ("sent", "runs"),
    [
        pytest.param({"name": "Contoso"}, True, id="sent, although equal"),
        pytest.param({"description": "x"}, False, id="another column"),
        pytest.param({"name": None}, True, id="cleared"),
    ],
)
def test_an_update_step_listens_to_columns_that_are_sent(service, ran, sent, runs):
    id = service.create(account())
    labels = ran("Update", 20, "ran", filtering_attributes=frozenset({"NAME", "telephone1"}))
    service.update(Entity("account", id, sent))
    assert bool(labels) is runs


@pytest.mark.behaviour("Order and filtering", "Columns that a plug-in adds to Target wake no further step", "decided")
def test_columns_a_plugin_adds_wake_no_further_step(service, on, ran):
    id = service.create(account())

    @on("Update", 20)
    def add_a_column(context):
        context.target["telephone1"] = "1"

    labels = ran("Update", 40, "ran", filtering_attributes=frozenset({"telephone1"}))
    service.update(Entity("account", id, {"name": "Other"}))
    assert labels == []
    assert service.retrieve("account", id)["telephone1"] == "1"


@pytest.mark.behaviour("Order and filtering", "A step filtered by the primary key runs on every Update", "common")
def test_listening_to_the_primary_key_is_listening_to_every_update(service, ran):
    id = service.create(account())
    labels = ran("Update", 20, "ran", filtering_attributes=frozenset({"accountid"}))
    service.update(Entity("account", id, {"description": "x"}))
    assert labels == ["ran"]


@pytest.mark.behaviour("Order and filtering", "Filtering attributes filter Update only", "register-plug-in")
def test_only_update_steps_are_filtered(service, ran):
    labels = ran("Create", 20, "ran", filtering_attributes=frozenset({"telephone1"}))
    service.create(account())
    assert labels == ["ran"]


# --- single and multiple --------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Order and filtering",
    "A single Create raises CreateMultiple steps with one row in Targets",
    "write-plugin-multiple-operation",
)
def test_a_single_create_raises_the_multiple_steps_after_its_own(service, on, ran):
    labels = ran("Create", 20, "single")

    @on("CreateMultiple", 20, rank=-1)
    def see_targets(context):
        (target,) = context.input_parameters["Targets"]
        labels.append(("multiple", target["name"]))

    service.create(account())
    assert labels == ["single", ("multiple", "Contoso")]


@pytest.mark.behaviour(
    "Order and filtering", "CreateMultiple raises Create steps for each of its rows", "write-plugin-multiple-operation"
)
def test_a_multiple_create_raises_the_single_steps_for_each_row(crm, service, on, ran):
    labels = ran("CreateMultiple", 20, "multiple")
    on("Create", 20)(lambda context: labels.append(context.target["name"]))
    rows = EntityCollection([account("A"), account("B")])
    ids = crm.execute(OrganizationRequest("CreateMultiple", {"Targets": rows})).results["Ids"]
    assert labels == ["multiple", "A", "B"]
    assert [service.retrieve("account", id)["name"] for id in ids] == ["A", "B"]


@pytest.mark.behaviour(
    "Order and filtering",
    "What a CreateMultiple step changes in Targets is written, also for a single Create",
    "write-plugin-multiple-operation",
)
def test_what_a_multiple_step_changes_in_a_target_is_written(service, on, names):
    @on("CreateMultiple", 20)
    def rename(context):
        for target in context.input_parameters["Targets"]:
            target["name"] += "!"

    service.create(account())
    assert names() == ["Contoso!"]


@pytest.mark.behaviour(
    "Context", "OutputParameters hold `id` for Create steps, `Ids` for CreateMultiple steps", "bulk-operations"
)
def test_the_ids_are_in_the_outputs_of_both(service, on):
    outputs = []
    on("Create", 40)(lambda context: outputs.append(dict(context.output_parameters)))
    on("CreateMultiple", 40)(lambda context: outputs.append(dict(context.output_parameters)))
    id = service.create(account())
    assert outputs == [{"id": id}, {"Ids": [id]}]


@pytest.mark.behaviour(
    "Images",
    "*Multiple steps get image collections in the order of Targets",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.ipluginexecutioncontext4",
)
def test_multiple_steps_get_a_collection_of_images(crm, service, on):
    ids = [service.create(account(name)) for name in ("A", "B")]
    seen = []

    @on("UpdateMultiple", 40, images=(Image("row", "both", ("name",)),))
    def look(context):
        for before, after in zip(
            context.pre_entity_images_collection, context.post_entity_images_collection, strict=True
        ):
            seen.append((before["row"]["name"], after["row"]["name"]))

    rows = EntityCollection([account(f"{id[:1]}", id) for id in ids])
    crm.execute(OrganizationRequest("UpdateMultiple", {"Targets": rows}))
    assert seen == [("A", ids[0][:1]), ("B", ids[1][:1])]


@pytest.mark.behaviour(
    "Order and filtering",
    "Of an UpdateMultiple, filtered Update steps run for the rows that carry their columns",
    "write-plugin-multiple-operation",
)
def test_rows_of_a_multiple_update_are_filtered_one_by_one(crm, service, on):
    first, second = (service.create(account(name)) for name in "AB")
    ran = []
    listening = {"filtering_attributes": frozenset({"telephone1"})}
    on("Update", 20, **listening)(lambda context: ran.append(context.primary_entity_id))
    on("UpdateMultiple", 20, **listening)(lambda context: ran.append(len(context.input_parameters["Targets"])))
    rows = EntityCollection([account("C", first), Entity("account", second, {"telephone1": "1"})])
    crm.execute(OrganizationRequest("UpdateMultiple", {"Targets": rows}))
    assert ran == [2, second]


# --- depth ----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Depth",
    "Eight levels of calls run; the first has depth 1",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.depth",
)
def test_eight_levels_run(service, on):
    depths = []

    @on("Create", 40)
    def nest(context):
        depths.append(context.depth)
        if context.depth < 8:
            context.organization.create(account())

    service.create(account())
    assert depths == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.behaviour(
    "Depth",
    "The ninth level is refused with 0x80044182, and everything is undone",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.depth",
)
def test_the_ninth_level_is_refused_and_everything_undone(service, on, names):
    on("Create", 40)(lambda context: context.organization.create(account()))
    with pytest.raises(SdkCorrelationTokenDepthTooHigh) as raised:
        service.create(account())
    assert raised.value.code == 0x80044182
    assert names() == []


# --- the same row again ---------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Order and filtering", "Updating the same row at stage 40 raises Update again", "event-framework"
)
def test_updating_the_same_row_after_the_operation_raises_update(service, on, ran):
    labels = ran("Update", 20, "update")

    @on("Create", 40)
    def again(context):
        context.organization.update(Entity("account", context.primary_entity_id, {"telephone1": "1"}))

    id = service.create(account())
    assert labels == ["update"]
    assert service.retrieve("account", id)["telephone1"] == "1"


@pytest.mark.behaviour(
    "Order and filtering",
    "Deleting the row at stage 20 of its Update fails the Update and brings the row back",
    "common",
)
def test_deleting_the_row_before_its_update_fails_the_update(service, on, names):
    id = service.create(account())
    on("Update", 20)(lambda context: context.organization.delete("account", context.primary_entity_id))
    with pytest.raises(ObjectDoesNotExist):
        service.update(account("Other", id))
    assert names() == ["Contoso"]


@pytest.mark.behaviour(
    "Order and filtering",
    "Updating the same row at stage 40 of its Update runs filtered steps for what is sent",
    "event-framework",
)
def test_updating_the_same_row_after_its_update_runs_the_steps_it_concerns(service, on, ran):
    id = service.create(account())
    labels = ran("Update", 20, "of the telephone", filtering_attributes=frozenset({"telephone1"}))
    depths = []

    @on("Update", 40, filtering_attributes=frozenset({"name"}))
    def again(context):
        depths.append(context.depth)
        context.organization.update(Entity("account", id, {"telephone1": "1"}))

    service.update(account("Other", id))
    row = service.retrieve("account", id)
    assert (row["name"], row["telephone1"]) == ("Other", "1")
    assert (depths, labels) == ([1], ["of the telephone"])


@pytest.mark.behaviour("Depth", "A step that updates its own row without end is refused, and the row stays", "common")
def test_a_step_that_wakes_itself_without_end_is_refused(service, on, names):
    id = service.create(account())
    on("Update", 40)(lambda context: context.organization.update(account("Again", id)))
    with pytest.raises(SdkCorrelationTokenDepthTooHigh):
        service.update(account("Other", id))
    assert names() == ["Contoso"]


@pytest.mark.behaviour("Depth", "Swallowing the depth error ends the transaction as any other", "bulk-operations")
def test_the_depth_error_cannot_be_swallowed(service, on, names):
    @on("Create", 40)
    def nest(context):
        with contextlib.suppress(SdkCorrelationTokenDepthTooHigh):
            context.organization.create(account())

    with pytest.raises(TransactionNotStarted):
        service.create(account())
    assert names() == []


@pytest.mark.behaviour(
    "Order and filtering", "Updating the same row at stage 20 of its Update keeps both changes", "common"
)
def test_updating_the_same_row_before_its_update_keeps_both(service, on):
    id = service.create(account())

    @on("Update", 20, filtering_attributes=frozenset({"name"}))
    def nest(context):
        context.organization.update(Entity("account", id, {"telephone1": "1"}))

    service.update(account("Other", id))
    row = service.retrieve("account", id)
    assert (row["name"], row["telephone1"]) == ("Other", "1")


@pytest.mark.behaviour(
    "Order and filtering", "A column taken out of Target at stage 20 is not written", "understand-the-data-context"
)
def test_a_column_taken_out_of_target_is_not_written(service, on, names):
    id = service.create(account())

    @on("Update", 20)
    def keep_the_name(context):
        del context.target.attributes["name"]

    service.update(account("Other", id))
    assert names() == ["Contoso"]


@pytest.mark.behaviour("Order and filtering", "Deleting the row at stage 20 of its Delete fails the Delete", "common")
def test_deleting_the_row_before_its_deletion_fails_the_deletion(service, on, names):
    id = service.create(account())

    @on("Delete", 20)
    def hurry(context):
        if context.depth == 1:
            context.organization.delete("account", id)

    with pytest.raises(ObjectDoesNotExist):
        service.delete("account", id)
    assert names() == ["Contoso"]


@pytest.mark.behaviour("Order and filtering", "Deleting the row at stage 40 of its Create leaves no row", "common")
def test_deleting_the_row_after_its_creation_leaves_none(service, on, names):
    on("Create", 40)(lambda context: context.organization.delete("account", context.primary_entity_id))
    service.create(account())
    assert names() == []


@pytest.mark.behaviour(
    "Order and filtering", "Changing Target at stage 40 changes no row", "understand-the-data-context"
)
def test_changing_target_after_the_operation_changes_no_row(service, on, names):
    @on("Create", 40)
    def too_late(context):
        context.target["name"] = "Other"

    service.create(account())
    assert names() == ["Contoso"]


@pytest.mark.behaviour(
    "Order and filtering",
    "A Target put in place of the first at stage 20 is what gets written",
    "understand-the-data-context",
)
def test_a_target_put_in_place_of_the_first_is_written(service, on, names):
    @on("Create", 20)
    def replace(context):
        context.input_parameters["Target"] = account("Other", context.primary_entity_id)

    service.create(account())
    assert names() == ["Other"]


def test_the_callers_entity_is_left_alone(service, on):
    @on("Create", 20)
    def change(context):
        context.target["name"] = "Other"

    mine = account()
    service.create(mine)
    assert mine == account()


# --- reading --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Order and filtering",
    "What a step at stage 40 changes in BusinessEntity is what the caller of Retrieve gets",
    "understand-the-data-context",
)
def test_a_step_after_retrieve_changes_what_the_caller_gets(service, on):
    id = service.create(account())

    @on("Retrieve", 40)
    def mask(context):
        context.output_parameters["BusinessEntity"]["name"] = "***"

    assert service.retrieve("account", id, ["name"])["name"] == "***"


@pytest.mark.behaviour(
    "Order and filtering",
    "What a step before RetrieveMultiple changes in Query is what is asked",
    "understand-the-data-context",
)
def test_a_step_before_retrieve_multiple_changes_the_question(service, on):
    for name in ("A", "B"):
        service.create(account(name))

    @on("RetrieveMultiple", 20)
    def only_b(context):
        context.input_parameters["Query"] = QueryExpression.of("account", "name", where={"name": "B"})

    assert [row["name"] for row in service.retrieve_multiple(QueryExpression.of("account"))] == ["B"]


# --- bypassing ------------------------------------------------------------------------------------------------


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
def test_bypassing_ends_where_a_plugin_calls(crm, on, ran):
    labels = ran("Create", 20, "contact created", entity="contact")

    @on("Create", 40, mode=1)
    def nest(context):
        context.organization.create(Entity("contact"))

    crm.execute(OrganizationRequest("Create", {"Target": account()}), bypass=Bypass(custom_sync=True))
    crm.run_jobs()
    assert labels == ["contact created"]


PARAMETERS = {
    "custom sync": ({"BypassBusinessLogicExecution": "CustomSync"}, ["async"]),
    "custom async": ({"BypassBusinessLogicExecution": "CustomAsync"}, ["sync"]),
    "both": ({"BypassBusinessLogicExecution": "CustomSync,CustomAsync"}, []),
    "a step": ({"BypassBusinessLogicExecutionStepIds": "22222222-2222-2222-2222-222222222222"}, ["async"]),
    "the old way": ({"BypassCustomPluginExecution": True}, ["async"]),
}


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
