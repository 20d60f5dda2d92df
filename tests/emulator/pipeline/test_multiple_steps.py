"""Steps of CreateMultiple and UpdateMultiple, beside those of the single messages they share an operation with."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import Entity, EntityCollection, OrganizationRequest
from runner.execution.step import Image


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
