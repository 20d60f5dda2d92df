"""While a request is in the middle of its transaction, others read what was last committed and wait to write."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from small_plugins import Do

from dataverse_client.types import (
    Entity,
    EntityReference,
    FetchExpression,
    Money,
    OptionSetValue,
    OrganizationRequest,
    QueryExpression,
)
from runner.emulator.emulator import Emulator
from runner.emulator.errors import ObjectDoesNotExist, SqlTimeout
from runner.execution.step import Step

AT_ONCE = timedelta(0)
ACCOUNTS = QueryExpression.of("account", "name")


class Elsewhere:
    """Another thread, such as the one that answers an endpoint's request."""

    def __init__(self, crm):
        self.crm = crm
        self.service = crm.service()

    def __call__(self, work, *arguments):
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(work, *arguments).result(30)

    def names(self):
        return sorted(row["name"] for row in self(self.service.retrieve_multiple, ACCOUNTS))


@pytest.fixture
def crm(clock, tmp_path):
    """In a file, and impatient: whoever would have to wait is refused at once."""
    with Emulator(clock=clock, database=tmp_path / "crm.db", lock_timeout=AT_ONCE) as emulator:
        yield emulator


@pytest.fixture
def elsewhere(crm):
    return Elsewhere(crm)


@pytest.fixture
def during(crm, on):
    """``during("Update", work)``: what ``work`` answers in the middle of that message's next transaction."""

    def register(message, work, **more):
        answers = []

        @on(message, stage=40, **more)
        def middle(context):
            answers.append(work())

        return answers

    return register


@pytest.mark.behaviour(
    "Transactions", "While a request is in its transaction others read what was last committed", "common"
)
def test_a_row_being_created_is_not_there_for_others(service, during, elsewhere):
    found = during("Create", elsewhere.names)
    service.create(Entity("account", None, {"name": "Contoso"}))
    assert found == [[]]
    assert elsewhere.names() == ["Contoso"]


def test_an_uncommitted_row_cannot_be_retrieved_by_its_id(service, on, elsewhere):
    @on("Create", stage=40)
    def look(context):
        with pytest.raises(ObjectDoesNotExist):
            elsewhere(elsewhere.service.retrieve, "account", context.primary_entity_id, ["name"])

    service.create(Entity("account", None, {"name": "Contoso"}))


def test_a_row_being_updated_shows_others_its_old_values(service, during, elsewhere):
    account = service.create(Entity("account", None, {"name": "before"}))
    found = during("Update", lambda: elsewhere(elsewhere.service.retrieve, "account", account, ["name"])["name"])
    service.update(Entity("account", account, {"name": "after"}))
    assert found == ["before"]
    assert elsewhere.names() == ["after"]


def test_a_row_being_deleted_is_still_there_for_others(service, during, elsewhere):
    account = service.create(Entity("account", None, {"name": "Contoso"}))
    found = during("Delete", elsewhere.names)
    service.delete("account", account)
    assert (found, elsewhere.names()) == ([["Contoso"]], [])


def test_what_is_rolled_back_was_never_seen(service, during, on, elsewhere):
    found = during("Create", elsewhere.names, rank=1)

    @on("Create", stage=40, rank=2)
    def refuse(context):
        raise ValueError("no")

    with pytest.raises(Exception, match="no"):
        service.create(Entity("account", None, {"name": "Contoso"}))
    assert (found, elsewhere.names()) == ([[]], [])


def test_the_plug_in_itself_sees_what_it_wrote(service, on):
    names = []

    @on("Create", stage=40)
    def look(context):
        names.extend(row["name"] for row in context.organization.retrieve_multiple(ACCOUNTS))

    service.create(Entity("account", None, {"name": "Contoso"}))
    assert names == ["Contoso"]


def test_fetchxml_is_answered_as_well(service, during, elsewhere):
    service.create(Entity("account", None, {"name": "Contoso"}))
    query = FetchExpression("<fetch><entity name='account'><attribute name='name'/></entity></fetch>")
    request = OrganizationRequest("RetrieveMultiple", {"Query": query})
    found = during("Create", lambda: len(elsewhere(elsewhere.crm.execute, request).results["BusinessEntityCollection"]))
    service.create(Entity("account", None, {"name": "Fabrikam"}))
    assert found == [1]


def test_who_am_i_is_answered_as_well(crm, service, during, elsewhere):
    found = during("Create", lambda: elsewhere(elsewhere.service.execute, OrganizationRequest("WhoAmI")))
    service.create(Entity("account", None, {"name": "Contoso"}))
    assert found[0].results["UserId"] == crm.administrator_id


def test_lookups_and_choices_have_their_names(crm, service, during, elsewhere):
    account = service.create(Entity("account", None, {"name": "Contoso"}))
    found = during("Update", lambda: elsewhere(elsewhere.service.retrieve, "account", account, ["ownerid"]))
    service.update(Entity("account", account, {"name": "Fabrikam"}))
    assert found[0]["ownerid"].name
    assert found[0] == service.retrieve("account", account, ["ownerid"])


@pytest.mark.behaviour(
    "Transactions",
    "Who has to wait too long to write is told SQL timeout (0x80044151)",
    "reference/web-service-error-codes",
)
@pytest.mark.parametrize("write", ["create", "update", "delete"])
def test_who_would_write_waits_and_is_told_when_it_takes_too_long(service, during, elsewhere, write):
    account = service.create(Entity("account", None, {"name": "Contoso"}))
    row = Entity("account", account if write == "update" else None, {"name": "from the endpoint"})
    arguments = ("account", account) if write == "delete" else (row,)

    def write_too():
        with pytest.raises(SqlTimeout, match="must answer first") as refused:
            elsewhere(getattr(elsewhere.service, write), *arguments)
        return refused.value.code

    found = during("Update", write_too)
    service.update(Entity("account", account, {"description": "being written"}))
    assert found == [0x80044151]
    assert elsewhere.names() == ["Contoso"]


def test_a_transaction_of_several_requests_waits_as_well(crm, service, during, elsewhere):
    def begin():
        with crm.transaction():
            pass

    def refused():
        with pytest.raises(SqlTimeout):
            elsewhere(begin)
        return True

    found = during("Create", refused)
    service.create(Entity("account", None, {"name": "Contoso"}))
    assert found == [True]


def test_who_writes_gets_a_turn_once_the_other_is_done(clock, tmp_path):
    """Given an emulator as patient as it is by itself."""
    with Emulator(clock=clock, database=tmp_path / "crm.db") as crm:
        started, may_end = threading.Event(), threading.Event()

        def dawdle(context):
            started.set()
            assert may_end.wait(30)

        crm.register(Step(plugin=Do(dawdle), message="Create", entity="account", stage=20))
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(crm.service().create, Entity("account", None, {"name": "first"}))
            assert started.wait(30)
            second = threads.submit(crm.service().create, Entity("contact", None, {"lastname": "second"}))
            assert Elsewhere(crm).names() == []
            may_end.set()
            assert first.result(30)
            assert second.result(30)


def test_in_memory_readers_have_to_wait_too(clock):
    with Emulator(clock=clock, lock_timeout=AT_ONCE) as crm:

        def look(context):
            with pytest.raises(SqlTimeout, match="kept in a file"):
                Elsewhere(crm).names()

        crm.register(Step(plugin=Do(look), message="Create", entity="account", stage=40))
        assert crm.service().create(Entity("account", None, {"name": "Contoso"}))


def test_readers_see_whole_transactions(clock, tmp_path):
    """Given money that is moved between two accounts, again and again, by one thread."""
    revenue = QueryExpression.of("account", "revenue")
    with Emulator(clock=clock, database=tmp_path / "crm.db") as crm:
        service = crm.service()
        accounts = [service.create(Entity("account", None, {"name": n, "revenue": Money(Decimal(100))})) for n in "ab"]
        moving = threading.Event()

        def move():
            for step in range(60):
                with crm.transaction():
                    for account, amount in zip(accounts, (100 - step, 100 + step), strict=True):
                        service.update(Entity("account", account, {"revenue": Money(Decimal(amount))}))
                moving.set()

        def sums():
            assert moving.wait(30)
            rows = [service.retrieve_multiple(revenue) for _ in range(60)]
            return {sum(row["revenue"].value for row in found) for found in rows}

        with ThreadPoolExecutor(3) as threads:
            mover, *readers = threads.submit(move), threads.submit(sums), threads.submit(sums)
            assert [reader.result(60) for reader in readers] == [{Decimal(200)}, {Decimal(200)}]
            mover.result(60)


# --- what reading comes to is decided by what is committed, too ---------------------------------------------------


@contextmanager
def held(crm):
    """Somebody else has the turn, with nothing written so far."""
    taken, done = threading.Event(), threading.Event()

    def hold():
        with crm.transaction():
            taken.set()
            assert done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(30)
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_read_that_sets_steps_in_motion_waits(crm, service, on):
    on("RetrieveMultiple", stage=40)(lambda context: None)
    with held(crm):
        with pytest.raises(SqlTimeout):
            service.retrieve_multiple(ACCOUNTS)
        assert len(service.retrieve_multiple(QueryExpression.of("contact"))) == 0


def test_a_step_that_is_switched_off_is_no_reason_to_wait(crm, service, on):
    on("RetrieveMultiple", stage=40)(lambda context: None)
    [step] = crm.steps
    service.update(
        Entity("sdkmessageprocessingstep", step.id, {"statecode": OptionSetValue(1), "statuscode": OptionSetValue(2)})
    )
    with held(crm):
        assert len(service.retrieve_multiple(ACCOUNTS)) == 0


def test_a_column_added_meanwhile_is_read(crm, service):
    account = service.create(Entity("account", None, {"name": "Contoso"}))
    with held(crm):
        service.retrieve("account", account)
    with crm.customizing() as customizations:
        customizations.create_column("account", "new_colour", {"type": "String", "max_length": 20})
    service.update(Entity("account", account, {"new_colour": "red"}))
    with held(crm):
        assert service.retrieve("account", account, ["new_colour"])["new_colour"] == "red"


def test_a_renamed_currency_or_user_shows_at_once(crm, service):
    account = service.create(Entity("account", None, {"name": "Contoso"}))
    with held(crm):
        before = service.retrieve("account", account, ["ownerid"])["ownerid"].name
    service.update(Entity("systemuser", crm.administrator_id, {"lastname": "Renamed"}))
    with held(crm):
        after = service.retrieve("account", account, ["ownerid"])["ownerid"].name
    assert after != before
    assert "Renamed" in after


def test_rows_put_back_by_a_snapshot_are_what_others_read(crm, service):
    service.create(Entity("account", None, {"name": "kept"}))
    snapshot = crm.snapshot()
    service.create(Entity("account", None, {"name": "forgotten"}))
    crm.restore(snapshot)
    with held(crm):
        assert [row["name"] for row in service.retrieve_multiple(ACCOUNTS)] == ["kept"]


def test_a_look_at_the_rows_does_not_wait_either(crm, service, during, elsewhere):
    reference = EntityReference("account", service.create(Entity("account", None, {"name": "before"})))

    def look():
        with crm.reading() as rows:
            return rows.retrieve(reference, ["name"])["name"], rows.version

    found = during("Update", lambda: elsewhere(look))
    before = look()
    service.update(Entity("account", reference.id, {"name": "after"}))
    assert found == [before]
    assert look()[1] > before[1]


def test_a_user_who_is_none_is_refused(crm):
    with held(crm), pytest.raises(ObjectDoesNotExist):
        crm.service("00000000-0000-0000-0000-00000000dead").retrieve_multiple(ACCOUNTS)
