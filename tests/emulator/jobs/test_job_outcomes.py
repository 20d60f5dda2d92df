"""How a job ends: succeeded, failed, retried, canceled, deleted or interrupted."""

from __future__ import annotations

import pytest
from emulator_samples import account, busy, refuse, state

from dataverse_client.types import Entity, OptionSetValue, QueryExpression
from runner.emulator.job_runner import signed
from runner.plugin import InvalidPluginExecutionException, OperationStatus


def cancel(context):
    for job in context.organization.retrieve_multiple(QueryExpression.of("asyncoperation")):
        canceled = {"statecode": OptionSetValue(3), "statuscode": OptionSetValue(32)}
        context.organization.update(Entity("asyncoperation", job.id, canceled))


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A job that throws is Failed (3/31) with message and error code, and cancels nothing",
    "asynchronous-service",
)
def test_a_job_that_fails_keeps_its_message_and_cancels_nothing(crm, service, later, job_row, names):
    later("Create")(refuse)
    service.create(account())
    crm.run_jobs()
    assert state(job_row()) == (3, 31)
    assert (job_row()["message"], job_row()["errorcode"]) == ("No.", -2147220891)
    assert names() == ["Contoso"]


def test_an_unexpected_failure_names_the_step(crm, service, later, job_row):
    later("Create", name="Divide")(lambda context: 1 / 0)
    service.create(account())
    crm.run_jobs()
    assert "'Divide'" in job_row()["message"]
    assert "ZeroDivisionError" in job_row()["message"]


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


def test_compensation_runs_when_the_job_fails(crm, service, later):
    done = []

    @later("Create")
    def register(context):
        context.on_rollback(lambda: done.append("undone"))
        refuse(context)

    service.create(account())
    crm.run_jobs()
    assert done == ["undone"]


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


# --- retries --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "OperationStatus.Retry runs a step up to four times in all, then it is Failed",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.operationstatus",
)
def test_a_step_that_asks_for_it_is_run_four_times_in_all(crm, service, later, job_row):
    attempts = []

    @later("Create")
    def always_busy(context):
        attempts.append(context.operation_id)
        busy(context)

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
            busy(context)

    service.create(account())
    crm.run_jobs()
    assert state(job_row()) == (3, 30)


def test_a_job_that_succeeds_in_the_end_says_nothing_of_what_failed_before(crm, service, later, job_row):
    attempts = []

    @later("Create")
    def busy_at_first(context):
        attempts.append(1)
        if len(attempts) == 1:
            busy(context)

    service.create(account())
    crm.run_jobs()
    assert {"message", "friendlymessage", "errorcode"}.isdisjoint(job_row().attributes)


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
            busy(context)

    service.create(account())
    crm.run_jobs()
    assert seen == [((2, 20), 0), ((2, 20), 1)]


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
        busy(context)

    service.create(account())
    crm.run_jobs()
    assert seen == [("Contoso", {}, False)] * 4


# --- canceled and deleted -------------------------------------------------------------------------------------


@pytest.mark.behaviour("Asynchronous jobs", "OperationStatus.Canceled ends a job as Canceled (3/32)", "decided")
def test_a_step_may_cancel_its_job(crm, service, later, job_row):
    @later("Create")
    def cancel(context):
        raise InvalidPluginExecutionException("Never mind.", status=OperationStatus.CANCELED)

    service.create(account())
    crm.run_jobs()
    assert (state(job_row()), job_row()["message"]) == ((3, 32), "Never mind.")


@pytest.mark.behaviour("Asynchronous jobs", "A job somebody canceled is not run", "asynchronous-service")
def test_a_job_somebody_canceled_is_not_run(crm, service, later, job_row):
    ran = []
    later("Create")(lambda context: ran.append(1))
    service.create(account())
    canceled = {"statecode": OptionSetValue(3), "statuscode": OptionSetValue(32)}
    service.update(Entity("asyncoperation", job_row().id, canceled))
    assert crm.pending_jobs == ()
    assert crm.run_jobs() == 0
    assert ran == []
    assert state(job_row()) == (3, 32)


def test_a_job_canceled_while_it_runs_stays_canceled(crm, service, later, job_row):
    later("Create")(cancel)
    service.create(account())
    assert crm.run_jobs() == 1
    assert state(job_row()) == (3, 32)


def test_a_job_canceled_while_it_runs_is_not_retried(crm, service, later, job_row):
    @later("Create")
    def cancel_and_retry(context):
        cancel(context)
        busy(context)

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
