"""What steps hand on to later steps, and to those of nested calls, in SharedVariables."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    Entity,
    OrganizationRequest,
)


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
