"""Whom a step finds as its ParentContext: the request itself, or the step that made the call."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    Entity,
    EntityCollection,
    EntityReference,
    OptionSetValue,
    OrganizationRequest,
)


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


# --- the request's optional parameters ------------------------------------------------------------------------


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
