"""Asynchronous steps that an emulator on a file did not come to: the next one runs them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from small_plugins import Do

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityCollection,
    EntityReference,
    Money,
    OptionSetValue,
    OrganizationRequest,
    QueryExpression,
)
from runner.emulator.emulator import Emulator
from runner.execution.step import Image, Step
from runner.plugin import InvalidPluginExecutionException, OperationStatus


@pytest.fixture
def opened(tmp_path, clock):
    """An emulator on one file, with one asynchronous step that does ``work``."""

    def on(work, message="Update", entity="account", **more):
        step = Step(plugin=Do(work), message=message, entity=entity, stage=40, mode=1, name="Later", **more)
        return Emulator([step], database=tmp_path / "crm.db", clock=clock)

    return on


def never(context):
    raise AssertionError("The process that was told has ended.")


@pytest.mark.behaviour("Asynchronous jobs", "Jobs outlive the process that wrote them", "asynchronous-service")
def test_a_job_is_run_by_the_next_process(opened):
    with opened(never, images=(Image("before", "pre", ("name", "revenue")),)) as crm:
        service = crm.service()
        id = service.create(Entity("account", None, {"name": "Old", "revenue": Money(Decimal("1.50"))}))
        crm.execute(OrganizationRequest("Update", {"Target": Entity("account", id, {"name": "New"}), "tag": "t"}))
        (job,) = crm.pending_jobs

    seen = []
    with opened(seen.append, images=(Image("before", "pre", ("name", "revenue")),)) as crm:
        assert [each.id for each in crm.pending_jobs] == [job.id]
        assert crm.run_jobs() == 1
        row = crm.service().retrieve("asyncoperation", job.id)
        assert (row["statecode"].value, row["statuscode"].value) == (3, 30)
        assert "data" not in row

    (context,) = seen
    assert (context.message_name, context.primary_entity_id, context.target["name"]) == ("Update", id, "New")
    assert (context.stage, context.mode, context.depth, context.operation_id) == (40, 1, 1, job.id)
    assert context.correlation_id == job.context.correlation_id
    assert context.pre_image("before")["revenue"] == Money(Decimal("1.50"))
    assert context.parent_context.shared_variables["tag"] == "t"


def test_a_job_is_run_once(opened):
    with opened(never, "Create") as crm:
        crm.service().create(Entity("account", None, {"name": "A"}))
    runs = []
    for _ in range(2):
        with opened(runs.append, "Create") as crm:
            crm.run_jobs()
    assert len(runs) == 1


def test_attempts_go_on_counting(opened):
    """Given a job that was tried once, when another process takes it up, then three attempts are left."""

    def busy(context):
        raise InvalidPluginExecutionException("Busy.", status=OperationStatus.RETRY)

    with opened(busy, "Create") as crm:
        crm.service().create(Entity("account", None, {"name": "A"}))
        (job,) = crm.pending_jobs
        crm.records.overwrite(Entity("asyncoperation", job.id, {"retrycount": 1}), crm.system_user_id)
    with opened(busy, "Create") as crm:
        crm.run_jobs()
        assert len(crm.executions) == 3


def test_a_job_waits_for_its_step(opened, tmp_path, clock):
    with opened(never, "Create") as crm:
        crm.service().create(Entity("account", None, {"name": "A"}))
    with Emulator(database=tmp_path / "crm.db", clock=clock) as crm:
        assert crm.run_jobs() == 0
    seen = []
    with opened(seen.append, "Create") as crm:
        assert crm.run_jobs() == 1
    assert len(seen) == 1


def test_jobs_of_an_earlier_process_run_first(opened):
    order = []
    with opened(never, "Create") as crm:
        crm.service().create(Entity("account", None, {"name": "First"}))
    with opened(lambda context: order.append(context.target["name"]), "Create") as crm:
        crm.service().create(Entity("account", None, {"name": "Second"}))
        crm.run_jobs()
    assert order == ["First", "Second"]


def test_the_images_of_many_rows_are_kept(opened):
    images = (Image("after", "post", ("name", "primarycontactid")),)
    rows = [Entity("account", None, {"name": name}) for name in ("A", "B")]
    with opened(never, "CreateMultiple", images=images) as crm:
        contact = crm.service().create(Entity("contact", None, {"lastname": "L", "birthdate": date(2000, 1, 2)}))
        rows[0]["primarycontactid"] = EntityReference("contact", contact)
        crm.execute(OrganizationRequest("CreateMultiple", {"Targets": EntityCollection(rows)}))
    seen = []
    with opened(seen.append, "CreateMultiple", images=images) as crm:
        crm.run_jobs()
    (context,) = seen
    assert [each["after"]["name"] for each in context.post_entity_images_collection] == ["A", "B"]
    assert context.post_entity_images_collection[0]["after"]["primarycontactid"].id == contact


def test_a_kept_job_reads_date_only_columns_as_dates(opened):
    birthday, images = date(2000, 1, 2), (Image("after", "post", ("birthdate",)),)
    with opened(never, "Create", "contact", images=images) as crm:
        crm.service().create(Entity("contact", None, {"lastname": "L", "birthdate": birthday}))
    seen = []
    with opened(seen.append, "Create", "contact", images=images) as crm:
        crm.run_jobs()
    (context,) = seen
    told = (context.target, context.post_image("after"), context.parent_context.target)
    assert [type(row["birthdate"]) for row in told] == [date] * 3
    assert context.target["birthdate"] == birthday


@pytest.mark.behaviour(
    "Asynchronous jobs",
    "A job that another process runs is told values of the types they were: Guid, Double, DateTime, bytes, the SDK's",
    "asynchronous-service",
)
@pytest.mark.parametrize(
    "value",
    [
        1.5,
        Decimal("1.50"),
        UUID(int=7),
        datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        datetime(2026, 1, 2),  # noqa: DTZ001 - what a plug-in may share
        date(2026, 1, 2),
        timedelta(minutes=5),
        b"\x00\xff",
        "/Date(0)/",
        10**30,
        (OptionSetValue(1), OptionSetValue(2)),
        [{"rows": [Entity("account", EMPTY_GUID, {"revenue": Money(Decimal("1.00"))})]}],
        {"__type": "Money", "Value": 1},
        QueryExpression.of("account", "name", where={"name": "A"}),
        "half a pair: \ud83d",
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_shared_variable_is_what_it_was(opened, value):
    def share(context):
        context.shared_variables["value"] = value

    with opened(never, "Create") as crm:
        crm.register(Step(plugin=Do(share), message="Create", entity="account", stage=20))
        crm.service().create(Entity("account", None, {"name": "A"}))
    seen = []
    with opened(seen.append, "Create") as crm:
        crm.run_jobs()
    (shared,) = (context.shared_variables for context in seen)
    assert (shared["value"], type(shared["value"])) == (value, type(value))


def test_a_job_is_told_the_same_by_the_next_process_as_by_its_own(opened):
    """Its parents, too: they are who they were."""
    told = []

    def run(crm):
        crm.register(Step(plugin=Do(create_an_account), message="Create", entity="contact", stage=40))
        crm.service().create(Entity("contact", None, {"lastname": "L", "birthdate": date(2000, 1, 2)}))

    def tell(context):
        parents = context.parent_context, context.parent_context.parent_context
        told.append([(each.message_name, each.stage, each.mode, each.input_parameters) for each in (context, *parents)])

    for restarted in (False, True):
        with opened(tell, "Create") as crm:
            run(crm)
            if not restarted:
                crm.run_jobs()
    with opened(tell, "Create") as crm:
        crm.run_jobs()
    here, there = told
    assert [each[:3] for each in here] == [each[:3] for each in there]
    assert [type(each[3]["Target"]) for each in here] == [type(each[3]["Target"]) for each in there]


def create_an_account(context):
    context.organization.create(Entity("account", None, {"name": "A"}))


@pytest.mark.parametrize("data", ["{", "[]", '{"Money":[1]}', '{"MessageName":"Create"}'])
def test_a_job_whose_data_is_damaged_stays_and_is_told_of(opened, data, caplog):
    with opened(never, "Create") as crm:
        crm.service().create(Entity("account", None, {"name": "A"}))
        (job,) = crm.pending_jobs
        crm.records.overwrite(Entity("asyncoperation", job.id, {"data": data}), crm.system_user_id)
    with opened(never, "Create") as crm:
        assert crm.run_jobs() == 0
        assert crm.service().retrieve("asyncoperation", job.id)["statecode"].value == 0
    assert f"Job {job.id} cannot be run" in caplog.text


@pytest.mark.parametrize("value", [object(), {1: "a number for a key"}, {"a", "set"}], ids=["object", "dict", "set"])
def test_what_cannot_be_kept_still_runs(opened, caplog, value):
    """A shared variable that Dataverse has no type for stays in this process, and its job with it."""

    def share(context):
        context.shared_variables["unspeakable"] = value

    seen = []
    with opened(seen.append, "Create") as crm:
        crm.register(Step(plugin=Do(share), message="Create", entity="account", stage=20))
        crm.service().create(Entity("account", None, {"name": "A"}))
        (row,) = crm.service().retrieve_multiple(QueryExpression.of("asyncoperation"))
        assert "data" not in row
        assert crm.run_jobs() == 1
    assert len(seen) == 1
    assert "would be lost if this process ended" in caplog.text


def test_a_context_another_version_wrote_is_not_mistaken_for_this_ones(opened, caplog):
    """Given a kept context without one of the facts, then its job is left in the table, with a warning."""
    with opened(never, "Create") as crm:
        crm.service().create(Entity("account", None, {"name": "A"}))
        (job,) = crm.pending_jobs
        kept = json.loads(crm._engine.store.execute("SELECT data FROM asyncoperation").fetchone()[0])
        del kept["PluginContext"]["_stage"]
        crm.records.overwrite(Entity("asyncoperation", job.id, {"data": json.dumps(kept)}), crm.system_user_id)
    with opened(never, "Create") as crm:
        assert crm.run_jobs() == 0
        assert crm.service().retrieve("asyncoperation", job.id)["statecode"].value == 0
    assert f"Job {job.id} cannot be run: its data is damaged" in caplog.text
