"""Asynchronous steps: jobs written with the operation, run once it is committed."""

from __future__ import annotations

import threading

import pytest
from emulator_samples import account

from dataverse_client.types import Entity, EntityReference, OptionSetValue, QueryExpression
from runner.emulator.emulator import Emulator
from runner.emulator.errors import CannotDeleteUnlessCompleted, InvalidOperation, ObjectDoesNotExist
from runner.emulator.jobs.queue import JobQueue, JobWorker
from runner.emulator.jobs.runner import signed
from runner.emulator.plugin_faults import IsvAborted
from runner.emulator.seed import INTEGRATION_USER_ID, ROOT_BUSINESS_UNIT_ID
from runner.execution.step import Image, Step, StepError
from runner.plugin import InvalidPluginExecutionException, OperationStatus, Plugin

BUSINESS_UNIT = EntityReference("businessunit", ROOT_BUSINESS_UNIT_ID)


@pytest.fixture
def later(on):
    """``@later("Create")`` registers an asynchronous step."""
    return lambda message, **more: on(message, 40, mode=1, **more)


@pytest.fixture
def job_row(service):
    def only_one():
        (row,) = service.retrieve_multiple(QueryExpression.of("asyncoperation"))
        return row

    return only_one


def state(row):
    return row["statecode"].value, row["statuscode"].value


def fail(context):
    raise InvalidPluginExecutionException("Not today.")


def retry(context):
    raise InvalidPluginExecutionException("Busy.", status=OperationStatus.RETRY)


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "An asynchronous step runs later, outside the transaction: mode 1, stage 40, IsInTransaction false",
    "observed",
)
def test_an_asynchronous_step_waits_until_jobs_are_run(crm, service, later):
    ran = []
    later("Create")(lambda context: ran.append((context.mode, context.stage, context.is_in_transaction)))
    service.create(account())
    assert ran == []
    assert crm.run_jobs() == 1
    assert ran == [(1, 40, False)]


@pytest.mark.behaviour(
    "Asynchronous jobs", "A job is an asyncoperation row, Ready (0/0) and then Succeeded (3/30)", "asynchronous-service"
)
def test_the_job_is_a_row_with_dataverses_states(crm, service, later, job_row):
    later("Create", name="Tell somebody")(lambda context: None)
    id = service.create(account())
    waiting = job_row()
    assert (waiting["name"], state(waiting), waiting["regardingobjectid"].id) == ("Tell somebody", (0, 0), id)
    crm.run_jobs()
    assert state(job_row()) == (3, 30)
    assert job_row()["completedon"] == job_row()["startedon"]


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A job that throws is Failed (3/31) with message and error code, and cancels nothing",
    "asynchronous-service",
)
def test_a_job_that_fails_keeps_its_message_and_cancels_nothing(crm, service, later, job_row, names):
    later("Create")(fail)
    service.create(account())
    crm.run_jobs()
    assert state(job_row()) == (3, 31)
    assert (job_row()["message"], job_row()["errorcode"]) == ("Not today.", -2147220891)
    assert names() == ["Contoso"]


def test_an_unexpected_failure_names_the_step(crm, service, later, job_row):
    later("Create", name="Divide")(lambda context: 1 / 0)
    service.create(account())
    crm.run_jobs()
    assert "'Divide'" in job_row()["message"]
    assert "ZeroDivisionError" in job_row()["message"]


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "OperationStatus.Retry runs a step up to four times in all, then it is Failed",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.operationstatus",
)
def test_a_step_that_asks_for_it_is_run_four_times_in_all(crm, service, later, job_row):
    attempts = []

    @later("Create")
    def busy(context):
        attempts.append(context.operation_id)
        retry(context)

    service.create(account())
    assert crm.run_jobs() == 1
    assert len(attempts) == 4
    assert len(set(attempts)) == 1
    assert (state(job_row()), job_row()["retrycount"]) == ((3, 31), 3)


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A retried step may succeed",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.operationstatus",
)
def test_a_retried_step_may_succeed(crm, service, later, job_row):
    attempts = []

    @later("Create")
    def busy_at_first(context):
        attempts.append(1)
        if len(attempts) < 3:
            retry(context)

    service.create(account())
    crm.run_jobs()
    assert state(job_row()) == (3, 30)


@pytest.mark.behaviour("Asynchronous jobs", "OperationStatus.Canceled ends a job as Canceled (3/32)", "decided")
def test_a_step_may_cancel_its_job(crm, service, later, job_row):
    @later("Create")
    def cancel(context):
        raise InvalidPluginExecutionException("Never mind.", status=OperationStatus.CANCELED)

    service.create(account())
    crm.run_jobs()
    assert (state(job_row()), job_row()["message"]) == ((3, 32), "Never mind.")


@pytest.mark.behaviour(
    "Asynchronous jobs", "A job at work is InProgress (2/20) and counts its retries", "asynchronous-service"
)
def test_a_job_sees_itself_at_work(crm, service, later):
    seen = []

    @later("Create")
    def look(context):
        row = context.organization.retrieve("asyncoperation", context.operation_id)
        seen.append((state(row), row["retrycount"]))
        if len(seen) == 1:
            retry(context)

    service.create(account())
    crm.run_jobs()
    assert seen == [((2, 20), 0), ((2, 20), 1)]


@pytest.mark.behaviour("Asynchronous jobs", "A job tells its step, correlation and depth", "asynchronous-service")
def test_a_job_says_what_it_is_about(crm, service, later, job_row):
    seen = []
    later("Create")(seen.append)
    service.create(account())
    crm.run_jobs()
    (context,), row = seen, job_row()
    assert row["owningextensionid"].id == context.owning_extension.id
    assert (row["correlationid"], row["depth"], row["messagename"]) == (context.correlation_id, 1, "Create")


@pytest.mark.behaviour(
    "Asynchronous jobs", "An asynchronous step that does not end in time is Failed", "event-framework"
)
def test_a_job_that_does_not_end_is_ended(crm, service, later, job_row):
    @later("Create", timeout=0.05)
    def endless(context):
        while True:
            pass

    service.create(account())
    crm.run_jobs()
    assert (state(job_row()), job_row()["errorcode"]) == ((3, 31), signed(0x80081111))


@pytest.mark.behaviour(
    "Asynchronous jobs", "An asynchronous step that impersonates acts as its user", "impersonate-a-user"
)
def test_a_job_acts_as_its_steps_user(crm, service, later):
    made = []

    @later("Create", run_as=INTEGRATION_USER_ID)
    def write(context):
        made.append(context.organization.create(Entity("contact")))

    service.create(account())
    crm.run_jobs()
    assert service.retrieve("contact", made[0])["createdby"].id == INTEGRATION_USER_ID


@pytest.mark.behaviour(
    "Transactions", "Stage 10 of a call that an asynchronous step makes is outside the transaction", "event-framework"
)
def test_a_call_of_a_job_begins_outside_a_transaction(crm, service, on, later):
    seen = []
    on("Create", 10, entity="contact")(lambda context: seen.append((context.depth, context.is_in_transaction)))
    later("Create")(lambda context: context.organization.create(Entity("contact")))
    service.create(account())
    crm.run_jobs()
    assert seen == [(2, False)]


@pytest.mark.behaviour("Asynchronous jobs", "A job knows Target as it was, whatever becomes of the row", "common")
def test_a_job_knows_the_row_of_its_operation(crm, service, later):
    seen = []
    later("Create")(lambda context: seen.append(context.target["name"]))
    id = service.create(account())
    service.delete("account", id)
    crm.run_jobs()
    assert seen == ["Contoso"]


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A job that is not completed cannot be deleted, 0x8004416a",
    "reference/web-service-error-codes",
)
def test_a_job_is_deleted_once_it_is_over(crm, service, later, job_row):
    later("Create")(lambda context: None)
    service.create(account())
    with pytest.raises(CannotDeleteUnlessCompleted):
        service.delete("asyncoperation", job_row().id)
    crm.run_jobs()
    service.delete("asyncoperation", job_row().id)
    assert len(service.retrieve_multiple(QueryExpression.of("asyncoperation"))) == 0


@pytest.mark.behaviour("Asynchronous jobs", "No job is left of an operation that was rolled back", "common")
def test_no_job_is_left_of_an_operation_that_was_rolled_back(crm, service, on, later):
    later("Create")(lambda context: None)
    on("Create", 40)(fail)
    with pytest.raises(IsvAborted):
        service.create(account())
    assert crm.pending_jobs == ()
    assert len(service.retrieve_multiple(QueryExpression.of("asyncoperation"))) == 0


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "Jobs run in the order they were written, which Dataverse tries and does not promise",
    "asynchronous-service",
)
def test_jobs_run_in_the_order_they_were_written(crm, service, later):
    ran = []
    later("Create")(lambda context: ran.append(context.target["name"]))
    for name in "ABC":
        service.create(account(name))
    crm.run_jobs()
    assert ran == ["A", "B", "C"]


@pytest.mark.behaviour("Asynchronous jobs", "What a job writes may set further jobs in motion", "asynchronous-service")
def test_a_job_may_set_further_jobs_in_motion(crm, service, later, names):
    @later("Create")
    def once_more(context):
        if context.depth < 3:
            context.organization.create(account(f"Depth {context.depth + 1}"))

    service.create(account("Depth 1"))
    assert crm.run_jobs() == 3
    assert names() == ["Depth 1", "Depth 2", "Depth 3"]


@pytest.mark.behaviour(
    "Depth",
    "Depth is counted through asynchronous steps, so that a chain of jobs ends at eight",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.iexecutioncontext.depth",
)
def test_depth_is_counted_through_jobs(crm, service, later, names, job_row):
    later("Create")(lambda context: context.organization.create(account()))
    service.create(account())
    crm.run_jobs()
    assert len(names()) == 8


@pytest.mark.behaviour(
    "Asynchronous jobs", "Each call an asynchronous step makes is a transaction of its own", "event-framework"
)
def test_each_call_of_a_job_is_a_transaction_of_its_own(crm, service, later, names):
    @later("Create", entity="contact")
    def write_then_fail(context):
        context.organization.create(account())
        fail(context)

    service.create(Entity("contact", None, {"lastname": "Nancy"}))
    crm.run_jobs()
    assert names() == ["Contoso"]


def test_compensation_runs_when_the_job_fails(crm, service, later):
    done = []

    @later("Create")
    def register(context):
        context.on_rollback(lambda: done.append("undone"))
        fail(context)

    service.create(account())
    crm.run_jobs()
    assert done == ["undone"]


# --- what the job is told -------------------------------------------------------------------------------------


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
    "Asynchronous jobs", "An attempt does not see what the one before changed in its context", "common"
)
def test_an_attempt_does_not_see_what_the_one_before_changed_in_its_context(crm, service, later):
    seen = []

    @later("Create")
    def retry_with_changes(context):
        seen.append((context.target["name"], dict(context.shared_variables), "added" in context.input_parameters))
        context.target["name"] = "Changed"
        context.shared_variables["key"] = "changed"
        context.input_parameters["added"] = True
        retry(context)

    service.create(account())
    crm.run_jobs()
    assert seen == [("Contoso", {}, False)] * 4


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


def test_a_job_that_succeeds_in_the_end_says_nothing_of_what_failed_before(crm, service, later, job_row):
    attempts = []

    @later("Create")
    def busy_at_first(context):
        attempts.append(1)
        if len(attempts) == 1:
            retry(context)

    service.create(account())
    crm.run_jobs()
    assert {"message", "friendlymessage", "errorcode"}.isdisjoint(job_row().attributes)


def test_a_job_whose_user_is_gone_runs_and_is_refused_what_it_asks_for(crm, service, later, job_row):
    user = service.create(Entity("systemuser", None, {"fullname": "A", "businessunitid": BUSINESS_UNIT}))
    later("Create")(lambda context: context.organization.create(Entity("contact")))
    crm.service(user).create(account())
    service.delete("systemuser", user)
    assert crm.run_jobs() == 1
    assert (state(job_row()), job_row()["errorcode"]) == ((3, 31), signed(ObjectDoesNotExist.code))


def test_the_name_of_a_step_may_be_longer_than_that_of_its_jobs(crm, service, later, job_row):
    later("Create", name="N" * 300)(lambda context: None)
    service.create(account())
    assert job_row()["name"] == "N" * 256


def test_a_job_that_is_interrupted_is_run_again(crm, service, later, job_row):
    attempts = []

    @later("Create")
    def interrupted_at_first(context):
        attempts.append(1)
        if len(attempts) == 1:
            raise KeyboardInterrupt

    service.create(account())
    with pytest.raises(KeyboardInterrupt):
        crm.run_jobs()
    assert (crm.run_jobs(), state(job_row())) == (1, (3, 30))


@pytest.mark.behaviour(
    "Asynchronous jobs", "No custom step runs on messages of asyncoperation", "reference/entities/asyncoperation"
)
def test_jobs_set_no_steps_in_motion(later):
    with pytest.raises(StepError, match="no custom step runs on Update of asyncoperation"):
        later("Update", entity="asyncoperation")(lambda context: None)


# --- the queue ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Asynchronous jobs", "A job somebody canceled is not run", "asynchronous-service")
def test_a_job_somebody_canceled_is_not_run(crm, service, later, job_row):
    ran = []
    later("Create")(lambda context: ran.append(1))
    service.create(account())
    canceled = {"statecode": OptionSetValue(3), "statuscode": OptionSetValue(32)}
    service.update(Entity("asyncoperation", job_row().id, canceled))
    crm.run_jobs()
    assert ran == []
    assert state(job_row()) == (3, 32)


def cancel(context):
    for job in context.organization.retrieve_multiple(QueryExpression.of("asyncoperation")):
        canceled = {"statecode": OptionSetValue(3), "statuscode": OptionSetValue(32)}
        context.organization.update(Entity("asyncoperation", job.id, canceled))


def test_a_job_canceled_while_it_runs_stays_canceled(crm, service, later, job_row):
    later("Create")(cancel)
    service.create(account())
    assert crm.run_jobs() == 1
    assert state(job_row()) == (3, 32)


def test_a_job_canceled_while_it_runs_is_not_retried(crm, service, later, job_row):
    @later("Create")
    def cancel_and_retry(context):
        cancel(context)
        retry(context)

    service.create(account())
    assert crm.run_jobs() == 1
    assert len(crm.executions) == 1
    assert state(job_row()) == (3, 32)


@pytest.mark.parametrize("auto_delete", [False, True])
def test_a_job_deleted_while_it_runs_stays_deleted(crm, service, later, auto_delete):
    @later("Create", async_auto_delete=auto_delete)
    def cancel_and_delete(context):
        cancel(context)
        for job in context.organization.retrieve_multiple(QueryExpression.of("asyncoperation")):
            context.organization.delete("asyncoperation", job.id)

    service.create(account())
    assert crm.run_jobs() == 1
    assert len(service.retrieve_multiple(QueryExpression.of("asyncoperation"))) == 0


@pytest.mark.behaviour("Asynchronous jobs", "AsyncAutoDelete deletes the job once it has succeeded", "register-plug-in")
def test_a_succeeded_job_is_deleted_when_the_step_says_so(crm, service, later):
    later("Create", async_auto_delete=True)(lambda context: None)
    service.create(account())
    crm.run_jobs()
    assert len(service.retrieve_multiple(QueryExpression.of("asyncoperation"))) == 0


def test_a_snapshot_holds_rows_and_jobs(crm, service, later, names):
    ran = []
    later("Create")(lambda context: ran.append(context.target["name"]))
    service.create(account("Before"))
    snapshot = crm.snapshot()
    service.create(account("After"))
    crm.run_jobs()
    crm.restore(snapshot)
    assert names() == ["Before"]
    assert crm.run_jobs() == 1
    assert ran == ["Before", "After", "Before"]


@pytest.mark.parametrize("stopped_before", [False, True])
def test_a_worker_runs_jobs_as_they_come(stopped_before):
    done = threading.Event()

    class Tell(Plugin):
        def execute(self, context):
            context.organization.retrieve("account", context.primary_entity_id, ["name"])
            self.configuration["done"].set()

    step = Step(plugin=Tell({"done": done}), message="Create", entity="account", stage=40, mode=1)
    with Emulator([step]) as crm:
        if stopped_before:
            crm.start_worker()
            crm.stop_worker()
        crm.start_worker()
        crm.service().create(account())
        assert done.wait(20)


def test_a_job_that_cannot_be_run_does_not_keep_the_worker_from_the_next(crm, service, later, caplog):
    later("Create", name="stamp")(lambda context: None)
    service.create(account())
    service.create(account())
    ran = threading.Event()

    def run(job):
        if job is first:
            raise OSError("The disk is full.")
        ran.set()

    first, second = crm.pending_jobs
    queue = JobQueue()
    queue.put([first, second])
    worker = JobWorker(queue, run, lambda: None)
    assert ran.wait(60)
    worker.stop()
    assert f"Job {first.id} of step stamp could not be run." in caplog.text


def test_jobs_asked_for_inside_a_transaction_wait_on(crm, service, later, on):
    ran = []
    later("Create")(lambda context: ran.append(context.target["name"]))
    service.create(account("first"))
    on("Create", 40, rank=2)(lambda context: crm.run_jobs())
    with pytest.raises(InvalidOperation, match="not inside one"):
        service.create(account("second"))
    assert (crm.run_jobs(), ran) == (1, ["first"])
