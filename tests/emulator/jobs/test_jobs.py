"""Asynchronous steps: jobs written with the operation, run once it is committed."""

from __future__ import annotations

import threading

import pytest
from emulator_samples import account, refuse, state

from dataverse_client.types import Entity, EntityReference, QueryExpression
from runner.emulator.emulator import Emulator
from runner.emulator.errors import CannotDeleteUnlessCompleted, InvalidOperation, ObjectDoesNotExist
from runner.emulator.job_runner import signed
from runner.emulator.jobs.queue import JobQueue, JobWorker
from runner.emulator.plugin_faults import IsvAborted
from runner.emulator.seed import INTEGRATION_USER_ID, ROOT_BUSINESS_UNIT_ID
from runner.execution.step import Step, StepError
from runner.plugin import Plugin

BUSINESS_UNIT = EntityReference("businessunit", ROOT_BUSINESS_UNIT_ID)


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


@pytest.mark.behaviour("Asynchronous jobs", "A job tells its step, correlation and depth", "asynchronous-service")
def test_a_job_says_what_it_is_about(crm, service, later, job_row):
    seen = []
    later("Create")(seen.append)
    service.create(account())
    crm.run_jobs()
    (context,), row = seen, job_row()
    assert row["owningextensionid"].id == context.owning_extension.id
    assert (row["correlationid"], row["depth"], row["messagename"]) == (context.correlation_id, 1, "Create")


def test_the_name_of_a_step_may_be_longer_than_that_of_its_jobs(crm, service, later, job_row):
    later("Create", name="N" * 300)(lambda context: None)
    service.create(account())
    assert job_row()["name"] == "N" * 256


@pytest.mark.behaviour("Asynchronous jobs", "No job is left of an operation that was rolled back", "common")
def test_no_job_is_left_of_an_operation_that_was_rolled_back(crm, service, on, later):
    later("Create")(lambda context: None)
    on("Create", 40)(refuse)
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


@pytest.mark.behaviour("Asynchronous jobs", "AsyncAutoDelete deletes the job once it has succeeded", "register-plug-in")
def test_a_succeeded_job_is_deleted_when_the_step_says_so(crm, service, later):
    later("Create", async_auto_delete=True)(lambda context: None)
    service.create(account())
    crm.run_jobs()
    assert len(service.retrieve_multiple(QueryExpression.of("asyncoperation"))) == 0


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


@pytest.mark.behaviour(
    "Asynchronous jobs", "No custom step runs on messages of asyncoperation", "reference/entities/asyncoperation"
)
def test_jobs_set_no_steps_in_motion(later):
    with pytest.raises(StepError, match="no custom step runs on Update of asyncoperation"):
        later("Update", entity="asyncoperation")(lambda context: None)


# --- what a job's calls do ------------------------------------------------------------------------------------


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


@pytest.mark.behaviour(
    "Asynchronous jobs", "Each call an asynchronous step makes is a transaction of its own", "event-framework"
)
def test_each_call_of_a_job_is_a_transaction_of_its_own(crm, service, later, names):
    @later("Create", entity="contact")
    def write_then_fail(context):
        context.organization.create(account())
        refuse(context)

    service.create(Entity("contact", None, {"lastname": "Nancy"}))
    crm.run_jobs()
    assert names() == ["Contoso"]


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


def test_a_job_whose_user_is_gone_runs_and_is_refused_what_it_asks_for(crm, service, later, job_row):
    user = service.create(Entity("systemuser", None, {"fullname": "A", "businessunitid": BUSINESS_UNIT}))
    later("Create")(lambda context: context.organization.create(Entity("contact")))
    crm.service(user).create(account())
    service.delete("systemuser", user)
    assert crm.run_jobs() == 1
    assert (state(job_row()), job_row()["errorcode"]) == ((3, 31), signed(ObjectDoesNotExist.code))


# --- who runs them --------------------------------------------------------------------------------------------


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
    with pytest.raises(InvalidOperation, match="inside a request or transaction"):
        service.create(account("second"))
    assert (crm.run_jobs(), ran) == (1, ["first"])


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
