"""One transaction: what a synchronous step refuses never happened."""

from __future__ import annotations

import asyncio
import contextlib
import weakref

import pytest
from emulator_samples import account, refuse

from dataverse_client.types import Entity, OrganizationRequest
from runner.emulator.errors import InvalidOperation, ObjectDoesNotExist
from runner.emulator.plugin_faults import (
    IsvAborted,
    IsvUnExpected,
    SandboxWorkerPluginExecuteTimeout,
    TransactionNotStarted,
)
from runner.emulator.storage.store import Store
from runner.plugin import InvalidPluginExecutionException

NOBODY = "11111111-1111-1111-1111-111111111111"


def contact(name="Nancy"):
    return Entity("contact", attributes={"lastname": name})


@pytest.mark.behaviour(
    "Transactions", "An exception of a synchronous step undoes what other steps wrote", "event-framework"
)
@pytest.mark.parametrize("stage", [20, 40])
def test_a_refusal_takes_along_what_other_steps_wrote(service, on, names, stage):
    @on("Create", 20)
    def write_more(context):
        context.organization.create(contact())

    on("Create", stage, rank=2)(refuse)
    with pytest.raises(IsvAborted):
        service.create(account())
    assert names("contact", "lastname") == []


@pytest.mark.behaviour(
    "Transactions", "What stage 10 of a call from outside wrote stays when a later stage refuses", "event-framework"
)
def test_what_stage_10_of_an_outside_call_wrote_stays(service, on, names):
    """PreValidation runs before the transaction, so its own calls commit on their own."""

    @on("Create", 10)
    def write_down(context):
        context.organization.create(contact())

    on("Create", 20)(refuse)
    with pytest.raises(IsvAborted):
        service.create(account())
    assert names("contact", "lastname") == ["Nancy"]


@pytest.mark.behaviour(
    "Transactions",
    "Stage 10 of a call from outside is outside the transaction, of a nested call inside",
    "event-framework",
)
def test_stage_10_is_inside_the_transaction_of_a_nested_call_only(service, on):
    seen = []

    @on("Create", 20)
    def nest(context):
        context.organization.create(contact())

    on("Create", 10)(lambda context: seen.append(("outer", context.is_in_transaction)))
    on("Create", 10, entity="contact")(lambda context: seen.append(("nested", context.is_in_transaction)))
    service.create(account())
    assert seen == [("outer", False), ("nested", True)]


@pytest.mark.behaviour(
    "Transactions",
    'A plug-in that swallows the error of a call fails: "There is no active transaction."',
    "bulk-operations",
)
@pytest.mark.parametrize("stage", [20, 40])
def test_a_swallowed_failure_still_ends_the_transaction(service, on, names, stage):
    @on("Create", stage, name="Careless")
    def swallow(context):
        with contextlib.suppress(ObjectDoesNotExist):
            context.organization.retrieve("contact", NOBODY)

    with pytest.raises(TransactionNotStarted, match=r"There is no active transaction\..*'Careless'") as raised:
        service.create(account())
    assert raised.value.code == 0x80040251
    assert names() == []


@pytest.mark.behaviour(
    "Transactions", "After a swallowed error every further call of the plug-in is refused", "bulk-operations"
)
def test_calls_after_a_swallowed_failure_are_refused(service, on, names):
    answers = []

    @on("Create", 20)
    def go_on(context):
        for row in (Entity("no_such_table"), contact()):
            try:
                context.organization.create(row)
            except Exception as error:
                answers.append(type(error).__name__)

    with pytest.raises(TransactionNotStarted):
        service.create(account())
    assert answers == ["EntityNotFound", "TransactionNotStarted"]
    assert names("contact", "lastname") == []


def test_a_transaction_from_outside_in_which_a_request_failed_is_not_committed(crm, service, names):
    def go_on_after_a_failure():
        with crm.transaction():
            service.create(account())
            with contextlib.suppress(ObjectDoesNotExist):
                service.retrieve("contact", NOBODY)

    with pytest.raises(TransactionNotStarted):
        go_on_after_a_failure()
    assert names() == []


def test_a_commit_that_fails_undoes_what_was_to_be_committed(service, on, names, monkeypatch):
    done = []
    on("Create", 20)(lambda context: context.on_rollback(lambda: done.append("undone")))
    with monkeypatch.context() as disk:
        disk.setattr(Store, "commit", no_space)
        with pytest.raises(OSError, match="The disk is full"):
            service.create(account())
    assert (done, names()) == (["undone"], [])
    service.create(account("Fabrikam"))
    assert names() == ["Fabrikam"]


def no_space(store):
    raise OSError("The disk is full.")


@pytest.mark.behaviour("Transactions", "Stage 10 outside the transaction may swallow the error of a call", "common")
def test_stage_10_outside_the_transaction_may_swallow_a_failure(service, on, names):
    @on("Create", 10)
    def swallow(context):
        with contextlib.suppress(ObjectDoesNotExist):
            context.organization.retrieve("contact", NOBODY)

    service.create(account())
    assert names() == ["Contoso"]


@pytest.mark.behaviour("Errors", "Any other exception answers 0x80040224", "handle-exceptions")
def test_an_unexpected_exception_names_step_and_plugin(service, on):
    @on("Create", 20, name="Work out the ratio")
    def divide(context):
        return 1 / 0

    with pytest.raises(IsvUnExpected, match=r"'Work out the ratio' \(.*:Do\) raised ZeroDivisionError") as raised:
        service.create(account())
    assert raised.value.code == 0x80040224


@pytest.mark.parametrize(("given", "said"), [(ValueError("Too much."), "Too much."), (7, "7"), (None, "ISV code")])
def test_a_refusal_may_be_given_what_is_no_text(service, on, given, said):
    @on("Create", 20)
    def pass_on(context):
        raise InvalidPluginExecutionException(given)

    with pytest.raises(IsvAborted, match=said):
        service.create(account())


@pytest.mark.behaviour("Errors", "A fault of the platform that a plug-in lets pass keeps its code and words", "common")
def test_what_the_platform_refuses_under_a_plugin_keeps_its_code(service, on):
    on("Create", 20)(lambda context: context.organization.delete("contact", NOBODY))
    with pytest.raises(ObjectDoesNotExist, match=f"contact With Id = {NOBODY} Does Not Exist"):
        service.create(account())


@pytest.mark.behaviour(
    "Transactions",
    "Several requests in one transaction count together or not at all",
    "org-service/use-executetransaction",
)
def test_requests_in_one_transaction_count_together(crm, on, names):
    on("Create", 40, entity="contact")(refuse)

    def send_both():
        with crm.transaction():
            crm.service().create(account())
            crm.service().create(contact())

    with pytest.raises(IsvAborted):
        send_both()
    assert names() == []


def test_in_a_transaction_from_outside_stage_10_is_inside_it(crm, service, on):
    seen = []
    on("Create", 10)(lambda context: seen.append(context.is_in_transaction))
    with crm.transaction():
        service.create(account())
    assert seen == [True]


def test_a_plugin_that_goes_round_its_context_is_told(service, on):
    on("Create", 20)(lambda context: service.create(contact()))
    with pytest.raises(InvalidOperation, match=r"context\.organization"):
        service.create(account())


def test_the_emulator_serves_on_after_a_failure(service, on, names):
    on("Create", 20, entity="contact")(refuse)
    with pytest.raises(IsvAborted):
        service.create(contact())
    service.create(account())
    assert names() == ["Contoso"]


@pytest.mark.behaviour(
    "Errors", 'A refusal without a message says "ISV code aborted the operation."', "reference/web-service-error-codes"
)
def test_a_refusal_without_words_has_the_platforms(service, on):
    @on("Create", 20)
    def refuse_silently(context):
        raise InvalidPluginExecutionException

    with pytest.raises(IsvAborted, match=r"^ISV code aborted the operation\.$"):
        service.create(account())


# --- compensation ---------------------------------------------------------------------------------------------


def test_compensation_runs_after_the_rollback_last_first(service, on, names):
    done = []

    @on("Create", 20)
    def register(context):
        context.on_rollback(lambda: done.append(("first", names())))
        context.on_rollback(lambda: done.append(("second", names())))

    on("Create", 40)(refuse)
    with pytest.raises(IsvAborted):
        service.create(account())
    assert done == [("second", []), ("first", [])]


def test_compensation_of_a_nested_call_runs_when_the_outer_one_fails(service, on):
    done = []

    @on("Create", 40)
    def nest(context):
        context.organization.create(contact())
        refuse(context)

    on("Create", 20, entity="contact")(lambda context: context.on_rollback(lambda: done.append("undone")))
    with pytest.raises(IsvAborted):
        service.create(account())
    assert done == ["undone"]


def test_compensation_of_stage_10_runs_when_a_later_stage_refuses(service, on):
    done = []
    on("Create", 10)(lambda context: context.on_rollback(lambda: done.append("undone")))
    on("Create", 20)(refuse)
    with pytest.raises(IsvAborted):
        service.create(account())
    assert done == ["undone"]


def test_a_failing_compensation_hides_neither_the_error_nor_the_others(service, on, caplog):
    done = []

    @on("Create", 20)
    def register(context):
        context.on_rollback(lambda: done.append("undone"))
        context.on_rollback(lambda: 1 / 0)

    on("Create", 40)(refuse)
    with pytest.raises(IsvAborted, match=r"^No\.$"):
        service.create(account())
    assert done == ["undone"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
def test_compensation_cannot_end_the_program(service, on, error):
    done = []

    def end():
        raise error

    @on("Create", 20)
    def register(context):
        context.on_rollback(lambda: done.append("undone"))
        context.on_rollback(end)
        refuse(context)

    with pytest.raises(IsvAborted, match=r"^No\.$"):
        service.create(account())
    assert done == ["undone"]


def test_compensation_may_call_crm(service, on, names):
    @on("Create", 20)
    def register(context):
        context.on_rollback(lambda: context.organization.create(contact("undone")))
        refuse(context)

    with pytest.raises(IsvAborted):
        service.create(account())
    assert names("contact", "lastname") == ["undone"]


def test_compensation_is_forgotten_once_committed(crm, service, on):
    done = []
    on("Create", 20)(lambda context: context.on_rollback(lambda: done.append("undone")))
    service.create(account())
    with pytest.raises(ObjectDoesNotExist):
        crm.execute(OrganizationRequest("Update", {"Target": Entity("account", NOBODY, {"name": "Nobody"})}))
    assert done == []


def test_what_compensation_holds_is_kept_alive_no_longer_than_its_transaction(crm, service, on):
    class Reservation:
        def cancel(self):
            raise AssertionError("It was committed.")

    held = []

    @on("Create", 20)
    def reserve(context):
        reservation = Reservation()
        held.append(weakref.ref(reservation))
        context.on_rollback(reservation.cancel)

    service.create(account())
    assert crm.executions
    assert held[0]() is None


@pytest.mark.behaviour(
    "Errors", "A step that does not end in time answers 0x80081111, and everything is undone", "event-framework"
)
def test_a_step_that_does_not_end_is_ended_and_undone(service, on, names):
    @on("Create", 40, name="Endless", timeout=0.05)
    def write_on(context):
        while True:
            context.organization.create(contact())

    with pytest.raises(SandboxWorkerPluginExecuteTimeout, match=r"'Endless'.*within 0\.05 seconds"):
        service.create(account())
    assert names() == names("contact", "lastname") == []


def test_what_a_step_that_was_ended_wants_undone_may_call_crm(service, on, names):
    @on("Create", 40, timeout=0.05)
    def hang(context):
        context.on_rollback(lambda: context.organization.create(contact("undone")))
        while True:
            pass

    with pytest.raises(SandboxWorkerPluginExecuteTimeout):
        service.create(account())
    assert names("contact", "lastname") == ["undone"]


def test_a_coroutine_run_inside_an_event_loop_takes_part_in_the_transaction(service, on, names):
    @on("Create", 40)
    async def write(context):
        context.organization.create(contact())

    on("Create", 40, rank=2)(refuse)

    async def caller():
        service.create(account())

    with pytest.raises(IsvAborted):
        asyncio.run(caller())
    assert names("contact", "lastname") == []
