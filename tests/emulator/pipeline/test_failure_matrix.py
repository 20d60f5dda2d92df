"""What is left when a step throws: at every stage, in a call from outside or a nested one, synchronous or not."""

from __future__ import annotations

import contextlib

import pytest
from emulator_samples import refuse

from dataverse_client.types import (
    Entity,
    EntityCollection,
    EntityReference,
    OptionSetValue,
    OrganizationRequest,
    QueryExpression,
)
from runner.emulator.errors import OrganizationServiceFault, StringLengthTooLong
from runner.emulator.plugin_faults import IsvAborted, IsvUnExpected, TransactionNotStarted
from runner.emulator.seed import INTEGRATION_USER_ID
from runner.plugin import InvalidPluginExecutionException, OperationStatus

MOMENTS = {
    "10": {"stage": 10},
    "20": {"stage": 20},
    "40": {"stage": 40},
    "async": {"stage": 40, "mode": 1},
}
SUCCEEDED, FAILED = 30, 31


def crash(context):
    raise ZeroDivisionError


@pytest.fixture
def act(crm, service, names):
    """Creates an account, runs all jobs, and tells what came of it: fault, accounts, contacts, states of jobs."""

    def create():
        fault = None
        try:
            service.create(Entity("account", None, {"name": "Contoso"}))
        except OrganizationServiceFault as raised:
            fault = type(raised)
        crm.run_jobs()
        jobs = [row["statuscode"].value for row in service.retrieve_multiple(QueryExpression.of("asyncoperation"))]
        return fault, names(), names("contact", "lastname"), sorted(jobs)

    return create


# --- in a call from outside -----------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Errors", "InvalidPluginExecutionException at stage 10, 20 or 40 answers 0x80040265", "handle-exceptions"
)
@pytest.mark.parametrize("stage", [10, 20, 40])
def test_a_refusal_carries_message_status_and_code(service, on, stage):
    @on("Create", stage)
    def cancel(context):
        raise InvalidPluginExecutionException("No.", status=OperationStatus.CANCELED, error_code=7)

    with pytest.raises(IsvAborted, match=r"^No\.$") as raised:
        service.create(Entity("account"))
    assert raised.value.code == 0x80040265
    assert (raised.value.operation_status, raised.value.sub_error_code) == (OperationStatus.CANCELED, 7)


@pytest.mark.behaviour("Transactions", "An exception at stage 10, 20 or 40 leaves no row", "event-framework")
@pytest.mark.parametrize(("error", "fault"), [(refuse, IsvAborted), (crash, IsvUnExpected)])
@pytest.mark.parametrize("thrown_at", ["10", "20", "40"])
def test_a_synchronous_step_that_throws(act, on, thrown_at, error, fault):
    on("Create", **MOMENTS[thrown_at])(error)
    assert act() == (fault, [], [], [])


@pytest.mark.behaviour(
    "Transactions", "A refusal of the platform at stage 30 undoes what steps wrote", "event-framework"
)
def test_an_operation_the_platform_refuses(act, on):
    @on("Create", 20)
    def write_and_spoil(context):
        context.organization.create(Entity("contact", None, {"lastname": "Nancy"}))
        context.target["name"] = "x" * 161

    assert act() == (StringLengthTooLong, [], [], [])


@pytest.mark.behaviour("Transactions", "An exception of an asynchronous step leaves everything", "event-framework")
@pytest.mark.parametrize("error", [refuse, crash])
def test_an_asynchronous_step_that_throws(act, on, error):
    on("Create", **MOMENTS["async"])(error)
    assert act() == (None, ["Contoso"], [], [FAILED])


# --- in a nested call -----------------------------------------------------------------------------------------

#: Where the outer step calls, where the nested one throws -> fault, accounts, contacts, states of the jobs.
NESTED = {
    ("10", "10"): (IsvAborted, [], [], []),
    ("10", "20"): (IsvAborted, [], [], []),
    ("10", "40"): (IsvAborted, [], [], []),
    ("10", "async"): (None, ["Contoso"], ["Nancy"], [FAILED]),
    ("20", "10"): (IsvAborted, [], [], []),
    ("20", "20"): (IsvAborted, [], [], []),
    ("20", "40"): (IsvAborted, [], [], []),
    ("20", "async"): (None, ["Contoso"], ["Nancy"], [FAILED]),
    ("40", "10"): (IsvAborted, [], [], []),
    ("40", "20"): (IsvAborted, [], [], []),
    ("40", "40"): (IsvAborted, [], [], []),
    ("40", "async"): (None, ["Contoso"], ["Nancy"], [FAILED]),
    ("async", "10"): (None, ["Contoso"], [], [FAILED]),
    ("async", "20"): (None, ["Contoso"], [], [FAILED]),
    ("async", "40"): (None, ["Contoso"], [], [FAILED]),
    ("async", "async"): (None, ["Contoso"], ["Nancy"], [SUCCEEDED, FAILED]),
}


@pytest.mark.behaviour(
    "Transactions",
    "An exception in a nested call undoes the outer operation, unless one of both ran later",
    "event-framework",
)
@pytest.mark.parametrize(("calls_at", "thrown_at"), NESTED, ids="-".join)
def test_a_nested_step_that_throws(act, on, calls_at, thrown_at):
    @on("Create", **MOMENTS[calls_at])
    def nest(context):
        context.organization.create(Entity("contact", None, {"lastname": "Nancy"}))

    on("Create", entity="contact", **MOMENTS[thrown_at])(refuse)
    assert act() == NESTED[calls_at, thrown_at]


#: Where the outer step calls and swallows what a nested step throws -> the same.
SWALLOWED = {
    "10": (None, ["Contoso"], [], []),
    "20": (TransactionNotStarted, [], [], []),
    "40": (TransactionNotStarted, [], [], []),
    "async": (None, ["Contoso"], [], [SUCCEEDED]),
}


@pytest.mark.behaviour(
    "Transactions",
    "A nested exception may be swallowed outside the transaction only, and undoes its own call",
    "bulk-operations",
)
@pytest.mark.parametrize("thrown_at", ["10", "20", "40"])
@pytest.mark.parametrize("swallowed_at", SWALLOWED)
def test_a_nested_exception_that_is_swallowed(act, on, swallowed_at, thrown_at):
    @on("Create", **MOMENTS[swallowed_at])
    def swallow(context):
        with contextlib.suppress(IsvAborted):
            context.organization.create(Entity("contact", None, {"lastname": "Nancy"}))

    on("Create", entity="contact", **MOMENTS[thrown_at])(refuse)
    assert act() == SWALLOWED[swallowed_at]


@pytest.mark.behaviour("Errors", "A plug-in may answer a nested exception with its own: that one counts", "common")
def test_a_nested_exception_answered_with_another(service, on, names):
    @on("Create", 40)
    def explain(context):
        try:
            context.organization.create(Entity("contact"))
        except IsvAborted:
            raise InvalidPluginExecutionException("The contact was refused.") from None

    on("Create", 20, entity="contact")(refuse)
    with pytest.raises(IsvAborted, match="The contact was refused"):
        service.create(Entity("account", None, {"name": "Contoso"}))
    assert names() == []


# --- in every message that changes a row ----------------------------------------------------------------------


def targets(id):
    return EntityCollection([Entity("account", id, {"name": "Other"})])


REQUESTS = {
    "Update": lambda id: {"Target": Entity("account", id, {"name": "Other"})},
    "Delete": lambda id: {"Target": EntityReference("account", id)},
    "Assign": lambda id: {
        "Target": EntityReference("account", id),
        "Assignee": EntityReference("systemuser", INTEGRATION_USER_ID),
    },
    "SetState": lambda id: {
        "EntityMoniker": EntityReference("account", id),
        "State": OptionSetValue(1),
        "Status": OptionSetValue(2),
    },
    "UpdateMultiple": lambda id: {"Targets": targets(id)},
}


@pytest.mark.behaviour(
    "Transactions",
    "An exception at any stage of any message that changes a row leaves the row as it was",
    "event-framework",
)
@pytest.mark.parametrize("stage", [10, 20, 40])
@pytest.mark.parametrize("message", REQUESTS)
def test_a_row_whose_change_is_refused_is_as_it_was(crm, service, on, message, stage):
    id = service.create(Entity("account", None, {"name": "Contoso"}))
    before = service.retrieve("account", id)
    on(message, stage)(refuse)
    with pytest.raises(IsvAborted):
        crm.execute(OrganizationRequest(message, REQUESTS[message](id)))
    assert service.retrieve("account", id) == before
