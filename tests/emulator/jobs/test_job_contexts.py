"""What an asynchronous step is told: the operation as it was when it was committed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from emulator_samples import account
from small_plugins import Do

from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.emulator import Emulator
from runner.execution.step import Image, Step
from runner.tracing.model import StepTraced


@pytest.mark.behaviour("Asynchronous jobs", "A job knows Target as it was, whatever becomes of the row", "common")
def test_a_job_knows_the_row_of_its_operation(crm, service, later):
    seen = []
    later("Create")(lambda context: seen.append(context.target["name"]))
    id = service.create(account())
    service.delete("account", id)
    crm.run_jobs()
    assert seen == ["Contoso"]


@pytest.mark.behaviour(
    "Asynchronous jobs", "OperationId of an asynchronous step is its job's and differs from RequestId", "observed"
)
def test_the_operation_id_is_the_jobs(crm, service, later, job_row):
    seen = []
    later("Create")(lambda context: seen.append((context.operation_id, context.request_id)))
    service.create(account())
    crm.run_jobs()
    ((operation, request),) = seen
    assert operation == job_row().id != request


@pytest.mark.behaviour(
    "Context",
    "ParentContext of an asynchronous step repeats its message, mode, step, OperationId and OperationCreatedOn",
    "observed",
)
def test_the_parent_of_an_asynchronous_step_is_told_by_the_job(crm, send, service, later):
    seen = []
    id = service.create(account())
    later("Update")(seen.append)
    request = {"EntityMoniker": EntityReference("account", id), "State": OptionSetValue(1), "Status": OptionSetValue(2)}
    send("SetState", **request)
    crm.run_jobs()
    (context,) = seen
    parent = context.parent_context
    assert (parent.message_name, parent.stage, parent.mode, parent.is_in_transaction) == ("Update", 30, 1, False)
    assert (parent.operation_id, parent.request_id) == (context.operation_id, context.request_id)
    assert parent.owning_extension == context.owning_extension
    assert parent.operation_created_on == context.operation_created_on
    assert parent.input_parameters == request


@pytest.mark.behaviour("Asynchronous jobs", "A job does not see what another changed in the same parent", "common")
def test_two_jobs_of_an_operation_have_nothing_in_common(crm, service, on, later):
    seen = []

    @on("Create", 10)
    def share(context):
        context.shared_variables["shared"] = ["by stage 10"]

    def change(context):
        parent = context.parent_context
        seen.append((parent.target["name"], list(parent.shared_variables["shared"])))
        parent.target["name"] = "Changed"
        parent.shared_variables["shared"].append("by a job")

    later("Create", name="First")(change)
    later("Create", name="Second")(change)
    service.create(account())
    crm.run_jobs()
    assert seen == [("Contoso", ["by stage 10"])] * 2


def test_a_job_sees_the_outputs_as_they_were_not_what_the_caller_made_of_them(crm, service, later):
    seen = []
    id = service.create(account())
    later("Retrieve")(lambda context: seen.append(context.output_parameters["BusinessEntity"]["name"]))
    service.retrieve("account", id)["name"] = "Changed"
    crm.run_jobs()
    assert seen == ["Contoso"]


def test_what_a_job_traces_is_told_with_the_depth_of_its_operation():
    records = []

    def nest(context):
        context.trace("at work")
        if context.depth == 1:
            context.organization.create(account())

    step = Step(plugin=Do(nest), message="Create", entity="account", stage=40, mode=1)
    with Emulator([step], sink=SimpleNamespace(record=records.append)) as crm:
        crm.service().create(account())
        crm.run_jobs()
    assert [each.depth for each in records if isinstance(each, StepTraced)] == [1, 2]


# --- images ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Images", "Images of an asynchronous step are those of the operation, not of the time it runs", "common"
)
def test_images_are_those_of_the_operation_not_of_the_run(crm, service, later):
    seen = []
    later("Create", images=(Image("after", "post", ("name",)),))(
        lambda context: seen.append(context.post_image("after"))
    )
    id = service.create(account())
    service.update(account("Other", id))
    crm.run_jobs()
    assert seen[0].attributes == {"name": "Contoso"}


@pytest.mark.behaviour("Images", "Post-images of asynchronous steps are taken after the synchronous steps", "decided")
def test_asynchronous_images_are_taken_after_the_synchronous_steps(crm, service, on, later):
    seen = []
    on("Create", 40)(lambda context: context.organization.update(account("Other", context.primary_entity_id)))
    later("Create", images=(Image("after", "post", ("name",)),))(
        lambda context: seen.append(context.post_image("after"))
    )
    service.create(account())
    crm.run_jobs()
    assert seen[0]["name"] == "Other"


@pytest.mark.behaviour(
    "Images", "Asynchronous steps carry the image AsynchronousStepPrimaryName with primary id and name", "observed"
)
@pytest.mark.parametrize(("message", "collection"), [("Update", "post_entity_images"), ("Delete", "pre_entity_images")])
def test_an_image_of_the_primary_name_comes_unasked(crm, service, later, message, collection):
    seen = []
    id = service.create(account())
    later(message)(lambda context: seen.append(getattr(context, collection)))
    service.update(account("Other", id)) if message == "Update" else service.delete("account", id)
    crm.run_jobs()
    image = seen[0]["AsynchronousStepPrimaryName"]
    assert image.attributes == {"accountid": id, "name": "Other" if message == "Update" else "Contoso"}


# --- shared variables -----------------------------------------------------------------------------------------


@pytest.mark.behaviour("Shared variables", "Asynchronous steps see a copy of what the operation shared", "common")
def test_what_the_operation_shared_is_there_and_its_own(crm, service, on, later):
    seen = []

    @on("Create", 40)
    def share(context):
        context.shared_variables["key"] = "value"

    later("Create")(lambda context: seen.append(context.shared_variables))
    service.create(account())
    crm.run_jobs()
    assert seen == [{"key": "value"}]


@pytest.mark.behaviour(
    "Shared variables",
    "What an operation shares after its asynchronous steps were queued, in whatever depth, they do not see",
    "asynchronous-service",
)
def test_what_is_shared_later_is_not_seen(crm, service, on, later):
    seen = []

    @on("Create", 40, entity="contact")
    def create_and_go_on(context):
        context.shared_variables["list"] = [1]
        context.organization.create(account())
        context.shared_variables["list"].append(2)
        context.shared_variables["late"] = True

    later("Create")(lambda context: seen.append(context.parent_context.parent_context.shared_variables))
    service.create(Entity("contact", None, {"lastname": "Nancy"}))
    crm.run_jobs()
    assert seen == [{"list": [1]}]
