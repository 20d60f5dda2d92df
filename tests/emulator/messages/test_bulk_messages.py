"""Messages that are about many rows, or are many requests."""

from __future__ import annotations

from decimal import Decimal

import pytest
from emulator_samples import account, refuse

from dataverse_client.types import (
    Entity,
    EntityCollection,
    EntityReference,
    Money,
    OrganizationRequest,
    new_guid,
)
from runner.emulator.errors import (
    DuplicateRecord,
    InvalidArgument,
    NotSupported,
    ObjectDoesNotExist,
)
from runner.emulator.plugin_faults import IsvAborted
from runner.emulator.seed import currency_id
from runner.plugin import InvalidPluginExecutionException


def contents(row):
    """What a row holds but for what tells it from others."""
    return {name: value for name, value in row.items() if name not in ("new_paymentid", "versionnumber")}


# --- many rows ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Messages", "One bad row undoes all of a CreateMultiple", "bulk-operations")
def test_one_bad_row_undoes_all_of_a_create_multiple(send, names):
    rows = EntityCollection([account("A"), Entity("account", None, {"no_such_column": 1})])
    with pytest.raises(InvalidArgument, match="no_such_column"):
        send("CreateMultiple", Targets=rows)
    assert names() == []


def test_a_taken_id_undoes_all_of_a_create_multiple(send, names):
    id = "11111111-1111-1111-1111-111111111111"
    with pytest.raises(DuplicateRecord):
        send("CreateMultiple", Targets=EntityCollection([account("A"), account("B", id), account("C", id)]))
    assert names() == []


def test_a_row_of_a_create_multiple_may_refer_to_an_earlier_one(send, service):
    parent, child = account("Parent", new_guid()), account("Child")
    child["parentaccountid"] = parent.to_entity_reference()
    _, id = send("CreateMultiple", Targets=EntityCollection([parent, child]))["Ids"]
    assert service.retrieve("account", id)["parentaccountid"] == parent.to_entity_reference()


def test_a_row_of_a_create_multiple_may_not_refer_to_a_later_one(send, names):
    parent, child = account("Parent", new_guid()), account("Child")
    child["parentaccountid"] = parent.to_entity_reference()
    with pytest.raises(ObjectDoesNotExist):
        send("CreateMultiple", Targets=EntityCollection([child, parent]))
    assert names() == []


def test_create_multiple_makes_the_rows_that_create_makes(send, service):
    euro = EntityReference("transactioncurrency", currency_id("EUR"))
    rows = [
        Entity("new_payment", None, columns)
        for columns in (
            {"new_name": "Plain"},
            {"new_name": "Priced", "new_amount": Money(Decimal("19.99"))},
            {"new_name": "In euros", "new_amount": Money(Decimal("19.99")), "transactioncurrencyid": euro},
            {"new_name": "Also plain"},
        )
    ]
    ids = send("CreateMultiple", Targets=EntityCollection(rows))["Ids"]
    together = [service.retrieve("new_payment", id) for id in ids]
    alone = [service.retrieve("new_payment", service.create(row)) for row in rows]
    assert [contents(row) for row in together] == [contents(row) for row in alone]
    versions = [row["versionnumber"] for row in together]
    assert versions == sorted(set(versions))


@pytest.mark.behaviour("Messages", "One missing row undoes all of an UpdateMultiple", "bulk-operations")
def test_one_missing_row_undoes_all_of_an_update_multiple(service, send, names):
    id = service.create(account("A"))
    rows = EntityCollection([account("B", id), account("C", "11111111-1111-1111-1111-111111111111")])
    with pytest.raises(ObjectDoesNotExist):
        send("UpdateMultiple", Targets=rows)
    assert names() == ["A"]


@pytest.mark.behaviour(
    "Messages", "UpsertMultiple answers in the order of its rows what became of each", "bulk-operations"
)
def test_upsert_multiple_answers_in_the_order_of_the_rows(service, send, names):
    id = service.create(account("A"))
    rows = EntityCollection([account("New"), account("Changed", id)])
    results = send("UpsertMultiple", Targets=rows)["Results"]
    assert [result["RecordCreated"] for result in results] == [True, False]
    assert results[1]["Target"].id == id
    assert names() == ["Changed", "New"]


@pytest.mark.behaviour("Messages", "One bad row undoes all of an UpsertMultiple", "bulk-operations")
def test_one_bad_row_undoes_all_of_an_upsert_multiple(service, send, names):
    id = service.create(account("A"))
    rows = EntityCollection([account("Changed", id), Entity("account", None, {"no_such_column": 1})])
    with pytest.raises(InvalidArgument, match="no_such_column"):
        send("UpsertMultiple", Targets=rows)
    assert names() == ["A"]


@pytest.mark.behaviour(
    "Messages", "Of rows of an UpdateMultiple that are the same one, the first counts", "bulk-operations"
)
def test_an_update_multiple_updates_each_row_once(service, send, names, on):
    seen = []
    on("Update", 20)(lambda context: seen.append(context.target["name"]))
    id = service.create(account("A"))
    send("UpdateMultiple", Targets=EntityCollection([account("First", id), account("Second", id.upper())]))
    assert names() == ["First"]
    assert seen == ["First"]


@pytest.mark.behaviour("Messages", "UpsertMultiple is refused when two of its rows are the same one", "bulk-operations")
def test_an_upsert_multiple_does_not_take_a_row_twice(service, send, names):
    id = service.create(account("A"))
    with pytest.raises(DuplicateRecord):
        send("UpsertMultiple", Targets=EntityCollection([account("First", id), account("Second", id)]))
    assert names() == ["A"]


@pytest.mark.behaviour(
    "Messages", "A Create step that refuses one row of a CreateMultiple undoes all of it", "bulk-operations"
)
@pytest.mark.usefixtures("refusing")
def test_a_step_that_refuses_one_row_undoes_all(send, names):
    with pytest.raises(IsvAborted, match="Bad name"):
        send("CreateMultiple", Targets=EntityCollection([account("A"), account("Bad")]))
    assert names() == []


@pytest.mark.behaviour("Messages", "Rows of one *Multiple request are of one table", "bulk-operations")
def test_tables_are_not_mixed(send):
    rows = EntityCollection([account(), Entity("contact")])
    with pytest.raises(InvalidArgument, match="account, contact"):
        send("CreateMultiple", Targets=rows)


@pytest.mark.behaviour(
    "Messages",
    'DeleteMultiple of standard tables is refused: "DeleteMultiple has not yet been implemented."',
    "bulk-operations",
)
def test_delete_multiple_is_refused_as_dataverse_does(send):
    with pytest.raises(NotSupported, match="has not yet been implemented"):
        send("DeleteMultiple", Targets=EntityCollection())


# --- many requests --------------------------------------------------------------------------------------------


def creating(*rows):
    return [OrganizationRequest("Create", {"Target": row}) for row in rows]


@pytest.fixture
def refusing(on):
    """Accounts called Bad are refused."""

    @on("Create", 40)
    def refuse_bad(context):
        if context.target["name"] == "Bad":
            raise InvalidPluginExecutionException("Bad name.")


#: Whether to continue on errors, whether to return responses -> what is answered by index, and the rows left.
SETTINGS = {
    (False, False): ({1: "Fault"}, ["A"]),
    (False, True): ({0: "Response", 1: "Fault"}, ["A"]),
    (True, False): ({1: "Fault"}, ["A", "C"]),
    (True, True): ({0: "Response", 1: "Fault", 2: "Response"}, ["A", "C"]),
}


@pytest.mark.behaviour(
    "Messages",
    "ExecuteMultiple keeps what succeeded; ContinueOnError and ReturnResponses decide what is tried and answered",
    "org-service/execute-multiple-requests",
)
@pytest.mark.parametrize("go_on", [False, True])
@pytest.mark.parametrize("answer_all", [False, True])
@pytest.mark.usefixtures("refusing")
def test_execute_multiple_answers_what_it_is_told_to(send, names, go_on, answer_all):
    settings = {"ContinueOnError": go_on, "ReturnResponses": answer_all}
    results = send("ExecuteMultiple", Requests=creating(account("A"), account("Bad"), account("C")), Settings=settings)
    answered = {
        each["RequestIndex"]: next(kind for kind in ("Fault", "Response") if each[kind])
        for each in results["Responses"]
    }
    assert (answered, names()) == SETTINGS[go_on, answer_all]
    assert results["IsFaulted"] is True


def test_execute_multiple_says_why_a_request_failed(send, on):
    on("Create", 40)(refuse)
    (only,) = send("ExecuteMultiple", Requests=creating(account()))["Responses"]
    assert (only["Fault"].code, only["Fault"].message) == (0x80040265, "No.")


def test_execute_multiple_without_a_failure_is_not_faulted(send):
    assert send("ExecuteMultiple", Requests=creating(account())) == {"Responses": [], "IsFaulted": False}


@pytest.mark.behaviour(
    "Messages",
    "ExecuteTransaction keeps all or nothing; its fault says which request it was",
    "org-service/use-executetransaction",
)
@pytest.mark.usefixtures("refusing")
def test_execute_transaction_keeps_all_or_nothing(send, names):
    with pytest.raises(IsvAborted) as raised:
        send("ExecuteTransaction", Requests=creating(account("A"), account("Bad")))
    assert raised.value.faulted_request_index == 1
    assert names() == []


@pytest.mark.behaviour(
    "Transactions", "Stage 10 of a request of ExecuteTransaction is inside the transaction", "event-framework"
)
def test_in_execute_transaction_stage_10_is_inside(send, on):
    seen = []
    on("Create", 10)(lambda context: seen.append(context.is_in_transaction))
    results = send("ExecuteTransaction", Requests=creating(account("A"), account("B")), ReturnResponses=True)
    assert seen == [True, True]
    assert len(results["Responses"]) == 2


@pytest.mark.behaviour(
    "Messages",
    "A request of an ExecuteMultiple may be an ExecuteTransaction",
    "org-service/use-executetransaction",
)
@pytest.mark.usefixtures("refusing")
def test_requests_of_execute_multiple_may_be_transactions(send, names):
    transactions = [
        OrganizationRequest("ExecuteTransaction", {"Requests": creating(*rows)})
        for rows in ((account("A"), account("Bad")), (account("B"), account("C")))
    ]
    results = send("ExecuteMultiple", Requests=transactions, Settings={"ContinueOnError": True})
    (failed,) = results["Responses"]
    assert (failed["RequestIndex"], failed["Fault"].faulted_request_index) == (0, 1)
    assert names() == ["B", "C"]


@pytest.mark.behaviour(
    "Messages",
    "An ExecuteMultiple among the requests of another fails, and it alone",
    "org-service/execute-multiple-requests",
)
def test_an_execute_multiple_in_another_fails_alone(send, names):
    requests = [*creating(account("A")), OrganizationRequest("ExecuteMultiple"), *creating(account("B"))]
    results = send("ExecuteMultiple", Requests=requests, Settings={"ContinueOnError": True})
    assert [each["RequestIndex"] for each in results["Responses"]] == [1]
    assert names() == ["A", "B"]


@pytest.mark.behaviour(
    "Messages",
    "A request of an ExecuteTransaction is neither an ExecuteMultiple nor an ExecuteTransaction",
    "org-service/use-executetransaction",
)
@pytest.mark.parametrize("message", ["ExecuteMultiple", "ExecuteTransaction"])
def test_requests_of_a_transaction_are_no_requests_of_many(send, names, message):
    with pytest.raises(InvalidArgument, match=f"{message} cannot be one of the requests"):
        send("ExecuteTransaction", Requests=[*creating(account()), OrganizationRequest(message)])
    assert names() == []


@pytest.mark.behaviour("Transactions", "Asynchronous steps of a transaction wait for its end", "common")
def test_jobs_of_a_transaction_wait_for_its_end(crm, service, on):
    on("Create", 40, mode=1)(lambda context: None)
    with crm.transaction():
        service.create(account())
        assert crm.pending_jobs == ()
    assert len(crm.pending_jobs) == 1


@pytest.mark.behaviour(
    "Messages",
    "At most 1,000 requests in an ExecuteMultiple or ExecuteTransaction",
    "org-service/execute-multiple-requests",
)
@pytest.mark.parametrize("message", ["ExecuteMultiple", "ExecuteTransaction"])
def test_requests_of_one_request_are_limited(send, message):
    with pytest.raises(InvalidArgument, match="maximum batch size allowed: 1000"):
        send(message, Requests=[OrganizationRequest("WhoAmI")] * 1001)


@pytest.mark.parametrize("message", ["ExecuteMultiple", "ExecuteTransaction"])
@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([account()], "holds Entity; it takes OrganizationRequest"),
        (OrganizationRequest("WhoAmI"), "is OrganizationRequest; it takes a list of OrganizationRequest"),
        (None, "is missing; it takes a list of OrganizationRequest"),
    ],
    ids=["a row", "one request", "nothing"],
)
def test_what_is_no_request_is_refused(send, message, requests, said):
    with pytest.raises(InvalidArgument, match=said):
        send(message, Requests=requests)


@pytest.mark.parametrize("message", ["CreateMultiple", "UpdateMultiple", "UpsertMultiple"])
@pytest.mark.parametrize("row", [EntityReference("account"), None], ids=["a reference", "nothing"])
def test_targets_that_are_not_entities_are_refused(send, message, row):
    with pytest.raises(InvalidArgument, match="it takes Entity"):
        send(message, Targets=EntityCollection([row]))


def test_settings_that_are_not_a_mapping_are_refused(send):
    with pytest.raises(InvalidArgument, match="'Settings' is list; it takes a mapping"):
        send("ExecuteMultiple", Requests=[], Settings=["ContinueOnError"])


def test_a_misspelled_setting_is_refused(send):
    with pytest.raises(InvalidArgument, match="ContinueOnError and ReturnResponses, not 'continueOnError'"):
        send("ExecuteMultiple", Requests=[], Settings={"continueOnError": True})
