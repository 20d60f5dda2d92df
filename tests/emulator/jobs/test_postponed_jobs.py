"""System jobs that somebody pauses, resumes, postpones or cancels, and those that ask to wait."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from emulator_samples import account
from small_plugins import Do

from dataverse_client.types import Entity, OptionSetValue, OrganizationRequest, QueryExpression
from runner.emulator.emulator import Emulator
from runner.emulator.errors import AsyncOperationInvalidStateChange
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, OperationStatus

HOUR = timedelta(hours=1)
READY, SUSPENDED, LOCKED, COMPLETED = map(OptionSetValue, range(4))
WAITING, CANCELED = OptionSetValue(10), OptionSetValue(32)


@pytest.fixture
def ran():
    return []


@pytest.fixture
def job(service, on, ran):
    """A job that waits: ``ran`` tells when it has run."""
    on("Create", 40, mode=1)(lambda context: ran.append(context.target["name"]))
    service.create(account("Contoso"))
    return Jobs(service)


class Jobs:
    """The one job there is, in a client's hands."""

    def __init__(self, service):
        self._service = service

    @property
    def row(self):
        (row,) = self._service.retrieve_multiple(QueryExpression.of("asyncoperation"))
        return row

    @property
    def state(self):
        return self.row["statecode"].value, self.row["statuscode"].value

    def update(self, **columns):
        self._service.update(Entity("asyncoperation", self.row.id, columns))


@pytest.fixture
def small_step():
    """An asynchronous step on Create of an account that does ``work``."""
    return lambda work: Step(plugin=Do(work), message="Create", entity="account", stage=40, mode=1, name="Later")


# --- postponed ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A postponed job is Suspended (1/10), and runs once postponeuntil has come",
    "asynchronous-service",
)
def test_a_postponed_job_waits_for_its_time(crm, job, ran, clock):
    job.update(postponeuntil=clock.now() + HOUR)
    assert (crm.run_jobs(), job.state, ran) == (0, (1, 10), [])
    clock.advance(HOUR)
    assert (crm.run_jobs(), job.state, ran) == (1, (3, 30), ["Contoso"])


def test_a_job_postponed_to_the_past_is_due(crm, job, ran, clock):
    job.update(postponeuntil=clock.now() - HOUR)
    assert crm.run_jobs() == 1


def test_a_postponed_job_lets_others_pass_and_goes_first_once_it_is_due(crm, service, job, ran, clock):
    service.create(account("Fabrikam"))
    oldest = crm.pending_jobs[0].id
    service.update(Entity("asyncoperation", oldest, {"postponeuntil": clock.now() + HOUR}))
    crm.run_jobs()
    service.create(account("Litware"))
    clock.advance(HOUR)
    crm.run_jobs()
    assert ran == ["Fabrikam", "Litware", "Contoso"]


def test_a_postponed_job_can_be_postponed_again_or_brought_forward(crm, job, ran, clock):
    job.update(postponeuntil=clock.now() + HOUR)
    crm.run_jobs()
    job.update(postponeuntil=clock.now() + 3 * HOUR)
    clock.advance(2 * HOUR)
    assert crm.run_jobs() == 0
    job.update(postponeuntil=clock.now())
    assert crm.run_jobs() == 1


def test_a_rolled_back_postponement_counts_for_nothing(crm, job, ran, clock):
    with suppress(InterruptedError), crm.transaction():
        job.update(postponeuntil=clock.now() + HOUR)
        raise InterruptedError
    assert (crm.run_jobs(), ran) == (1, ["Contoso"])


def test_a_ready_job_with_a_date_runs_after_it(crm, job, ran, clock):
    job.update(statecode=READY, postponeuntil=clock.now() + HOUR)
    assert (job.state, crm.run_jobs()) == ((0, 0), 0)
    clock.advance(HOUR)
    assert crm.run_jobs() == 1


def test_a_postponed_job_is_pending_and_part_of_a_snapshot(crm, job, ran, clock):
    job.update(postponeuntil=clock.now() + HOUR)
    crm.run_jobs()
    snapshot = crm.snapshot()
    assert len(crm.pending_jobs) == 1
    clock.advance(HOUR)
    crm.run_jobs()
    crm.restore(snapshot)
    assert (crm.run_jobs(), ran) == (1, ["Contoso", "Contoso"])


def test_a_job_may_postpone_another(crm, service, on, clock):
    ran = []

    @on("Create", 40, mode=1)
    def postpone_the_others(context):
        ran.append(context.target["name"])
        for row in context.organization.retrieve_multiple(QueryExpression.of("asyncoperation")):
            if row["statecode"] == READY:
                later = {"postponeuntil": clock.now() + HOUR}
                context.organization.update(Entity("asyncoperation", row.id, later))

    service.create(account("First"))
    service.create(account("Second"))
    assert (crm.run_jobs(), ran) == (1, ["First"])


def test_a_postponed_job_keeps_its_time_for_the_next_process(tmp_path, clock, small_step):
    with Emulator([small_step(None)], database=tmp_path / "crm.db", clock=clock) as crm:
        crm.service().create(account())
        Jobs(crm.service()).update(postponeuntil=clock.now() + HOUR)
    with Emulator([small_step(lambda context: None)], database=tmp_path / "crm.db", clock=clock) as crm:
        assert crm.run_jobs() == 0
        clock.advance(HOUR)
        assert crm.run_jobs() == 1


def test_the_worker_runs_a_postponed_job_when_it_is_due(clock, small_step):
    done = threading.Event()
    with Emulator([small_step(lambda context: done.set())], clock=clock) as crm:
        with crm.transaction():
            crm.service().create(account())
            Jobs(crm.service()).update(postponeuntil=clock.now() + HOUR)
        crm.start_worker()
        clock.advance(HOUR)
        assert done.wait(60)


# --- paused, resumed, canceled --------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A suspended job that is resumed (statecode 0) is Ready, and runs at once",
    "asynchronous-service",
)
def test_a_postponed_job_that_is_resumed_runs_at_once(crm, job, ran, clock):
    job.update(postponeuntil=clock.now() + HOUR)
    crm.run_jobs()
    job.update(statecode=READY)
    assert job.state == (0, 0)
    assert "postponeuntil" not in job.row
    assert (crm.run_jobs(), ran) == (1, ["Contoso"])


def test_setstate_resumes_too(crm, send, job, clock):
    job.update(postponeuntil=clock.now() + HOUR)
    send("SetState", EntityMoniker=job.row.to_entity_reference(), State=READY, Status=OptionSetValue(0))
    assert crm.run_jobs() == 1


@pytest.mark.behaviour(
    "Asynchronous jobs", "A postponed job can be canceled: it is Canceled (3/32)", "asynchronous-service"
)
def test_a_postponed_job_can_be_canceled(crm, job, ran, clock):
    job.update(postponeuntil=clock.now() + HOUR)
    crm.run_jobs()
    job.update(statecode=COMPLETED, statuscode=CANCELED)
    clock.advance(HOUR)
    crm.run_jobs()
    assert (job.state, ran, crm.pending_jobs) == ((3, 32), [], ())


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A job is paused when it is Locked, not before it has started: 0x80044167",
    "asynchronous-service",
)
def test_a_job_that_has_not_started_cannot_be_paused(job):
    with pytest.raises(AsyncOperationInvalidStateChange) as refused:
        job.update(statecode=SUSPENDED, statuscode=WAITING)
    assert (refused.value.code, job.state) == (0x80044167, (0, 0))


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A job that is over cannot be resumed (0x80044166), paused or postponed (0x80044167), or canceled (0x80044165)",
    "asynchronous-service",
)
@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"statecode": READY}, 0x80044166),
        ({"statecode": SUSPENDED}, 0x80044167),
        ({"statecode": LOCKED}, 0x80044162),
        ({"statecode": COMPLETED, "statuscode": CANCELED}, 0x80044165),
        ({"statuscode": CANCELED}, 0x80044165),
    ],
    ids=["resumed", "paused", "locked", "canceled", "called canceled"],
)
def test_a_job_that_is_over_stays_so(crm, job, columns, code):
    crm.run_jobs()
    with pytest.raises(AsyncOperationInvalidStateChange) as refused:
        job.update(**columns)
    assert (refused.value.code, job.state) == (code, (3, 30))


def test_a_job_that_is_over_cannot_be_postponed(crm, job, clock):
    crm.run_jobs()
    with pytest.raises(AsyncOperationInvalidStateChange):
        job.update(postponeuntil=clock.now() + HOUR)


def test_a_job_cannot_be_resumed_while_it_runs(crm, service, on):
    @on("Create", 40, mode=1)
    def resume(context):
        context.organization.update(Entity("asyncoperation", context.operation_id, {"statecode": READY}))

    service.create(account())
    crm.run_jobs()
    assert Jobs(service).row["errorcode"] == 0x80044166 - 2**32


@pytest.mark.behaviour(
    "Asynchronous jobs", "A job paused while it runs ends as it does; should it ask for a retry, it waits", "decided"
)
@pytest.mark.parametrize(("status", "state"), [(None, (3, 30)), (OperationStatus.RETRY, (1, 10))])
def test_a_job_paused_while_it_runs(crm, service, on, clock, status, state):
    attempts = []

    @on("Create", 40, mode=1)
    def pause(context):
        attempts.append(1)
        if len(attempts) == 1:
            paused = {"statecode": SUSPENDED, "statuscode": WAITING}
            context.organization.update(Entity("asyncoperation", context.operation_id, paused))
            if status:
                raise InvalidPluginExecutionException("Busy.", status=status)

    service.create(account())
    crm.run_jobs()
    clock.advance(timedelta(days=1))
    crm.run_jobs()
    assert (Jobs(service).state, len(attempts)) == (state, 1)


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "Of a job, requests change statecode, statuscode and postponeuntil; other columns are ignored",
    "asynchronous-service",
)
def test_other_columns_of_a_job_are_the_platforms(job):
    before = job.row
    job.update(retrycount=3, message="Mine", data="{}", errorcode=1, messagename="Delete")
    after = job.row
    changed = {name for name in after.attributes | before.attributes if after.get(name) != before.get(name)}
    assert changed <= {"modifiedby", "modifiedon", "versionnumber"}


def test_jobs_are_postponed_many_at_once(crm, job, ran, clock):
    row = Entity("asyncoperation", job.row.id, {"postponeuntil": clock.now() + HOUR})
    crm.execute(OrganizationRequest("Update", {"Target": row, "ConcurrencyBehavior": 0}))
    assert (crm.run_jobs(), job.state) == (0, (1, 10))


# --- what a plug-in asks for ----------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "OperationStatus.Suspended suspends a job until somebody resumes it",
    "https://www.microsoft.com/dynamics-365/blog/no-audience/2009/03/25/when-do-asynchronous-jobs-fail-suspend-or-retry",
)
def test_a_step_may_suspend_its_job(crm, service, on, clock):
    attempts = []

    @on("Create", 40, mode=1)
    def wait_for_somebody(context):
        attempts.append(1)
        if len(attempts) == 1:
            raise InvalidPluginExecutionException("Fix the address.", status=OperationStatus.SUSPENDED)

    service.create(account())
    assert crm.run_jobs() == 0
    job = Jobs(service)
    assert (job.state, job.row["message"], job.row["retrycount"]) == ((1, 10), "Fix the address.", 0)
    clock.advance(timedelta(days=30))
    assert crm.run_jobs() == 0
    job.update(statecode=READY)
    assert (crm.run_jobs(), job.state) == (1, (3, 30))


@pytest.fixture
def patient(clock):
    """An emulator whose jobs wait a minute before they are retried."""
    with Emulator(clock=clock, back_off=timedelta(minutes=1)) as emulator:
        yield emulator


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A job that is to be retried is Suspended until its pause is over",
    "https://www.microsoft.com/dynamics-365/blog/no-audience/2009/03/25/when-do-asynchronous-jobs-fail-suspend-or-retry",
)
def test_a_retried_job_pauses_longer_each_time(patient, clock, small_step):
    attempts = []

    def busy(context):
        attempts.append(clock.now())
        raise InvalidPluginExecutionException("Busy.", status=OperationStatus.RETRY)

    patient.register(small_step(busy))
    patient.service().create(account())
    job = Jobs(patient.service())
    assert (patient.run_jobs(), job.state) == (0, (1, 10))
    assert (job.row["postponeuntil"], job.row["retrycount"]) == (clock.now() + timedelta(minutes=1), 1)
    for minutes in (1, 2, 4):
        clock.advance(timedelta(minutes=minutes))
        patient.run_jobs()
    assert [(later - attempts[0]) / timedelta(minutes=1) for later in attempts] == [0, 1, 3, 7]
    assert (job.state, job.row["retrycount"]) == ((3, 31), 3)


def test_a_retried_job_that_is_resumed_need_not_wait(patient, small_step):
    attempts = []

    def busy_at_first(context):
        attempts.append(1)
        if len(attempts) == 1:
            raise InvalidPluginExecutionException("Busy.", status=OperationStatus.RETRY)

    patient.register(small_step(busy_at_first))
    patient.service().create(account())
    patient.run_jobs()
    job = Jobs(patient.service())
    job.update(statecode=READY)
    assert (patient.run_jobs(), job.state) == (1, (3, 30))
