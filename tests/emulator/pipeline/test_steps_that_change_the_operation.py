"""What a step does to the operation it runs in: changes its Target, its query or its answer, or writes the same row."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import EMPTY_GUID, Entity, OrganizationRequest, QueryExpression
from runner.emulator.errors import ObjectDoesNotExist

# --- Target ---------------------------------------------------------------------------------------------------


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


def test_a_step_that_takes_the_outputs_away_leaves_the_caller_no_id(crm, service, on, names):
    @on("Create", 40)
    def forget(context):
        context.output_parameters.clear()

    assert service.create(account()) == EMPTY_GUID
    upserted = crm.execute(OrganizationRequest("Upsert", {"Target": account()})).results
    assert upserted["Target"].id == EMPTY_GUID
    assert names() == ["Contoso", "Contoso"]


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


# --- the same row again ---------------------------------------------------------------------------------------


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
