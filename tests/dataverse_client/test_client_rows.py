"""Rows are created, read, changed and deleted as the Web API expects it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dataverse_client.client import UpsertResult, WhoAmI
from dataverse_client.errors import InvalidRequestError, NotFoundError, UnexpectedResponseError
from dataverse_client.options import BypassBusinessLogic, RequestOptions
from dataverse_client.types import (
    Entity,
    EntityCollection,
    EntityReference,
    Money,
    OptionSetValue,
    OrganizationRequest,
    PagingInfo,
    QueryExpression,
)

API = "https://contoso.crm.dynamics.com/api/data/v9.2/"
PAYMENT = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"
ACCOUNT = "00a1b2c3-0000-4000-8000-000000000001"
ROW = f"{API}new_payments({PAYMENT})"


def test_a_created_row_gets_the_id_dataverse_chose(web, client, sent, body):
    web.post(f"{API}new_payments", status=204, headers={"OData-EntityId": ROW.upper()})

    assert client.create(Entity("new_payment", None, {"new_amount": Money(Decimal("19.90"))})) == PAYMENT
    assert body(sent()[0]) == {"new_amount": Decimal("19.90")}


def test_a_created_row_keeps_the_id_the_caller_chose(web, client, sent, body):
    web.post(f"{API}new_payments", status=204)

    assert client.create(Entity("new_payment", PAYMENT)) == PAYMENT
    assert body(sent()[0]) == {"new_paymentid": PAYMENT}


def test_an_answer_without_an_id_is_no_creation(web, client):
    web.post(f"{API}new_payments", status=204)

    with pytest.raises(UnexpectedResponseError, match="without saying its id"):
        client.create(Entity("new_payment"))


def test_a_retrieved_row_speaks_our_types(web, client, sent):
    web.get(
        ROW,
        body=b'{"@odata.etag":"W/\\"7\\"","new_paymentid":"%b","new_amount":10.10,"new_paymentstatus":100000001}'
        % PAYMENT.encode(),
    )

    row = client.retrieve("new_payment", PAYMENT, ["new_amount", "new_paymentstatus", "new_customerid"])

    assert row.id == PAYMENT
    assert row["new_amount"] == Money(Decimal("10.10"))
    assert row["new_paymentstatus"] == OptionSetValue(100000001)
    assert row.row_version == 'W/"7"'
    assert sent()[0].params == {"$select": "new_amount,new_paymentstatus,_new_customerid_value"}


def test_a_row_is_found_by_its_alternate_key(web, client):
    web.get(f"{API}new_payments(new_stripepaymentintentid='pi_1')", json={"new_paymentid": PAYMENT})

    assert client.retrieve_by_key("new_payment", {"new_stripepaymentintentid": "pi_1"}).id == PAYMENT


@pytest.mark.parametrize(
    ("if_match", "header"), [(None, "*"), ('W/"7"', 'W/"7"'), ("7", 'W/"7"')], ids=["any", "etag", "row version"]
)
def test_an_update_never_creates_and_may_be_conditional(web, client, sent, if_match, header):
    web.patch(ROW, status=204)

    client.update(Entity("new_payment", PAYMENT, {"new_name": "x"}), if_match=if_match)

    assert sent()[0].headers["If-Match"] == header


def test_an_update_does_not_write_the_primary_id(web, client, sent, body):
    web.patch(ROW, status=204)

    client.update(Entity("new_payment", PAYMENT, {"new_paymentid": PAYMENT, "new_name": None}))

    assert body(sent()[0]) == {"new_name": None}


def test_a_row_without_id_or_key_cannot_be_updated(client):
    with pytest.raises(InvalidRequestError, match="no id"):
        client.update(Entity("new_payment", None, {"new_name": "x"}))


@pytest.mark.parametrize(("status", "created"), [(201, True), (200, False)])
def test_an_upsert_tells_whether_it_created(web, client, sent, status, created):
    web.patch(ROW, status=status, json={"new_paymentid": PAYMENT})

    result = client.upsert(Entity("new_payment", PAYMENT, {"new_name": "x"}))

    assert result == UpsertResult(EntityReference("new_payment", PAYMENT), created)
    assert "If-Match" not in sent()[0].headers
    assert "return=representation" in sent()[0].headers["Prefer"]


def test_an_upsert_by_key_leaves_the_key_out_of_the_body(web, client, sent, body):
    key = {"new_stripepaymentintentid": "pi_1"}
    web.patch(f"{API}new_payments(new_stripepaymentintentid='pi_1')", status=201, json={"new_paymentid": PAYMENT})

    result = client.upsert(Entity("new_payment", None, {**key, "new_name": "x"}, key_attributes=key))

    assert result.reference.id == PAYMENT
    assert body(sent()[0]) == {"new_name": "x"}


def test_a_delete_names_the_row_and_its_version(web, client, sent):
    web.delete(ROW, status=204)

    client.delete("new_payment", PAYMENT, if_match='W/"3"')

    assert sent()[0].headers["If-Match"] == 'W/"3"'


def test_a_missing_row_is_not_found(web, client):
    web.delete(ROW, status=404, json={"error": {"code": "0x80040217", "message": "new_payment Does Not Exist"}})

    with pytest.raises(NotFoundError, match="Does Not Exist"):
        client.delete("new_payment", PAYMENT)


def test_a_missing_table_is_the_callers_mistake_not_a_missing_row(web, client):
    web.get(f"{API}EntityDefinitions(LogicalName='new_paymnet')", status=404, json={"error": {"message": "no"}})

    with pytest.raises(InvalidRequestError, match="no table 'new_paymnet'"):
        client.retrieve("new_paymnet", PAYMENT)


def test_metadata_is_asked_for_once_per_table(web, client):
    web.patch(ROW, status=204)

    for _ in range(3):
        client.update(Entity("new_payment", PAYMENT, {"new_name": "x"}))

    assert len([call for call in web.calls if "EntityDefinitions" in call.request.url]) == 1


def test_a_query_follows_pages_to_the_end(web, client, sent):
    page2 = f"{API}new_payments?$skiptoken=2"
    web.get(f"{API}new_payments", json={"value": [{"new_name": "a"}, {"new_name": "b"}], "@odata.nextLink": page2})
    web.get(page2, json={"value": [{"new_name": "c"}]})

    rows = list(client.query(QueryExpression.of("new_payment", "new_name")))

    assert [row["new_name"] for row in rows] == ["a", "b", "c"]
    assert len({request.headers["x-ms-correlation-id"] for request in sent()}) == 1
    assert len({request.headers["x-ms-client-request-id"] for request in sent()}) == 2


def test_a_query_asks_for_pages_only_as_they_are_needed(web, client, sent):
    link = f"{API}new_payments?$skiptoken=2"
    web.get(f"{API}new_payments", json={"value": [{"new_name": "a"}], "@odata.nextLink": link})

    assert next(iter(client.query(QueryExpression.of("new_payment"))))["new_name"] == "a"
    assert len(sent()) == 1


def test_one_page_carries_the_way_to_the_next(web, client, sent):
    link = f"{API}new_payments?$skiptoken=2"
    web.get(f"{API}new_payments", json={"value": [], "@odata.nextLink": link})

    page = client.retrieve_multiple(QueryExpression("new_payment", page_info=PagingInfo(count=10)))

    assert (page.more_records, page.paging_cookie) == (True, link)
    assert "odata.maxpagesize=10" in sent()[0].headers["Prefer"]


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api/data/v9.2/new_payments",
        "https://contoso.crm.dynamics.com.evil.example/api/data/v9.2/x",
        "https://contoso.crm.dynamics.com@evil.example/api/data/v9.2/x",
        "http://contoso.crm.dynamics.com/api/data/v9.2/x",
        "https://contoso.crm.dynamics.com:no/api/data/v9.2/x",
        "https://contoso.crm.dynamics.com/elsewhere",
        "new_payments?$skiptoken=2",
    ],
)
def test_a_next_page_on_another_host_is_refused(web, client, link):
    web.get(f"{API}new_payments", json={"value": [], "@odata.nextLink": link})

    with pytest.raises(UnexpectedResponseError, match="not below"):
        list(client.query(QueryExpression("new_payment")))


READ_ALL = pytest.mark.parametrize(
    "read_all",
    [
        lambda client, link: list(client.query(QueryExpression("new_payment"))),
        lambda client, link: client.changes("new_payment", link=link),
    ],
    ids=["query", "changes"],
)


@READ_ALL
@pytest.mark.parametrize("content", [{}, {"value": None}, {"value": {}}, {"value": ["x"]}], ids=str)
def test_a_page_without_rows_is_not_taken_for_an_empty_one(web, client, read_all, content):
    web.get(f"{API}new_payments", json=content)

    with pytest.raises(UnexpectedResponseError, match="value"):
        read_all(client, f"{API}new_payments")


@READ_ALL
def test_a_page_that_leads_to_itself_is_refused(web, client, read_all):
    link = f"{API}new_payments?$skiptoken=2"
    web.get(f"{API}new_payments", json={"value": [], "@odata.nextLink": link})

    with pytest.raises(UnexpectedResponseError, match="leads to itself"):
        read_all(client, link)


def test_a_very_long_query_travels_in_a_batch(web, client, sent):
    part = 'Content-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{"value":[{"new_name":"a"}]}'
    web.post(f"{API}$batch", body=f"--b\r\n{part}\r\n--b--", content_type="multipart/mixed; boundary=b")

    [row] = client.query(QueryExpression.of("new_payment", where={"new_name": "x" * 40_000}))

    assert row["new_name"] == "a"
    assert b"GET /api/data/v9.2/new_payments?" in sent()[0].body


def test_create_multiple_returns_ids_in_order(web, client, sent, body):
    web.post(f"{API}new_payments/Microsoft.Dynamics.CRM.CreateMultiple", json={"Ids": [PAYMENT, ACCOUNT]})

    ids = client.create_multiple([Entity("new_payment", PAYMENT), Entity("new_payment", None, {"new_name": "x"})])

    assert ids == [PAYMENT, ACCOUNT]
    assert body(sent()[0])["Targets"] == [
        {"@odata.type": "Microsoft.Dynamics.CRM.new_payment", "new_paymentid": PAYMENT},
        {"@odata.type": "Microsoft.Dynamics.CRM.new_payment", "new_name": "x"},
    ]


MANY_TO_MANY = {
    "SchemaName": "new_account_payment",
    "Entity1LogicalName": "account",
    "Entity1NavigationPropertyName": "new_account_payment",
    "Entity2LogicalName": "new_payment",
    "Entity2NavigationPropertyName": "new_account_payment",
}
ONE_TO_MANY = {
    "SchemaName": "new_payment_account",
    "ReferencedEntity": "account",
    "ReferencedEntityNavigationPropertyName": "new_payments_of_account",
    "ReferencingEntity": "new_payment",
    "ReferencingEntityNavigationPropertyName": "new_AccountId",
}


def test_rows_are_linked_through_the_collection_of_the_relationship(web, client, sent, body):
    web.get(f"{API}RelationshipDefinitions", json={"value": [MANY_TO_MANY]})
    web.post(f"{ROW}/new_account_payment/$ref", status=204)

    client.associate("new_payment", PAYMENT, "new_account_payment", [EntityReference("account", ACCOUNT)])

    assert body(sent()[1]) == {"@odata.id": f"{API}accounts({ACCOUNT})"}


def test_the_many_side_is_linked_through_its_lookup(web, client, sent):
    web.get(f"{API}RelationshipDefinitions", json={"value": [ONE_TO_MANY]})
    web.put(f"{ROW}/new_AccountId/$ref", status=204)
    web.delete(f"{ROW}/new_AccountId/$ref", status=204)

    client.associate("new_payment", PAYMENT, "new_payment_account", [EntityReference("account", ACCOUNT)])
    client.disassociate("new_payment", PAYMENT, "new_payment_account", [EntityReference("account", ACCOUNT)])

    assert [request.method for request in sent()] == ["GET", "PUT", "DELETE"]


def test_a_relationship_of_other_tables_is_refused(web, client):
    web.get(f"{API}RelationshipDefinitions", json={"value": [MANY_TO_MANY]})

    with pytest.raises(InvalidRequestError, match="relates new_payment and account, not contact"):
        client.associate("contact", PAYMENT, "new_account_payment", [])


def test_who_am_i_answers_the_ids_in_lower_case(web, client):
    web.get(f"{API}WhoAmI()", json={"UserId": PAYMENT.upper(), "BusinessUnitId": ACCOUNT, "OrganizationId": ACCOUNT})

    assert client.who_am_i() == WhoAmI(PAYMENT, ACCOUNT, ACCOUNT)


def test_a_function_takes_its_parameters_as_aliases(web, client, sent):
    web.get(f"{API}RetrieveTotalRecordCount(EntityNames=@p1)", json={"@odata.context": "x", "Count": 3})

    response = client.execute(OrganizationRequest("RetrieveTotalRecordCount", {"EntityNames": ["new_payment"]}))

    assert response.results == {"Count": 3}
    assert sent()[0].params == {"@p1": '["new_payment"]'}


def test_a_functions_parameters_are_written_by_kind(web, client, sent):
    web.get(f"{API}new_F(Row=@p1,Id=@p2,Text=@p3,On=@p4)", json={})
    row = EntityReference("account", ACCOUNT)

    client.function("new_F", {"Row": row, "Id": ACCOUNT, "Text": "it's", "On": datetime(2026, 1, 2, tzinfo=UTC)})

    assert sent()[0].params == {
        "@p1": f'{{"@odata.id":"accounts({ACCOUNT})"}}',
        "@p2": ACCOUNT,
        "@p3": "'it''s'",
        "@p4": "2026-01-02T00:00:00Z",
    }


def test_an_answer_that_lacks_what_was_asked_is_unexpected(web, client):
    web.get(f"{API}WhoAmI()", json={"UserId": ACCOUNT})

    with pytest.raises(UnexpectedResponseError, match="has no BusinessUnitId"):
        client.who_am_i()


def test_metadata_that_lacks_what_is_needed_is_unexpected(web, client):
    odd = {"LogicalName": "new_odd", "EntitySetName": "new_odds", "PrimaryIdAttribute": "new_oddid", "Attributes": [{}]}
    web.get(f"{API}EntityDefinitions(LogicalName='new_odd')", json=odd)

    with pytest.raises(UnexpectedResponseError, match="metadata of new_odd lacks 'LogicalName'"):
        client.retrieve("new_odd", PAYMENT)


def test_related_rows_are_not_dropped_in_silence(client):
    order = Entity("salesorder")
    order.related_entities["order_details"] = EntityCollection([Entity("salesorderdetail")])

    with pytest.raises(InvalidRequestError, match="change set"):
        client.create(order)


def test_an_action_takes_its_parameters_as_a_body(web, client, sent, body):
    web.post(f"{API}new_SettlePayment", status=204)

    results = client.action("new_SettlePayment", {"Payment": EntityReference("new_payment", PAYMENT), "Force": True})

    assert results == {}
    assert body(sent()[0]) == {
        "Payment": {"@odata.type": "Microsoft.Dynamics.CRM.new_payment", "new_paymentid": PAYMENT},
        "Force": True,
    }


def test_messages_about_rows_go_the_rows_way(web, client):
    web.post(f"{API}new_payments", status=204, headers={"OData-EntityId": ROW})

    response = client.execute(OrganizationRequest("Create", {"Target": Entity("new_payment")}))

    assert response.results == {"id": PAYMENT}


def test_a_message_without_its_parameter_is_refused_by_name(client):
    with pytest.raises(InvalidRequestError, match="Create needs the parameter Target"):
        client.execute(OrganizationRequest("Create"))


def test_related_rows_are_not_left_out_unsaid(client):
    related = {"new_payment_SalesOrderId_salesorder": QueryExpression.of("new_payment")}
    request = {"Target": EntityReference("salesorder", PAYMENT), "RelatedEntitiesQuery": related}
    with pytest.raises(InvalidRequestError, match="ask for them with retrieve_multiple"):
        client.execute(OrganizationRequest("Retrieve", request))


def test_options_travel_with_every_request(web, client, sent):
    web.delete(ROW, status=204)
    options = RequestOptions(
        bypass=frozenset(BypassBusinessLogic),
        bypass_steps=(PAYMENT, ACCOUNT),
        tag="nightly run",
        caller_object_id=ACCOUNT,
        correlation_id=PAYMENT,
    )

    client.with_options(options).delete("new_payment", PAYMENT)

    headers = sent()[0].headers
    assert headers["MSCRM.BypassBusinessLogicExecution"] == "CustomSync,CustomAsync"
    assert headers["MSCRM.BypassBusinessLogicExecutionStepIds"] == f"{PAYMENT},{ACCOUNT}"
    assert headers["CallerObjectId"] == ACCOUNT
    assert headers["x-ms-correlation-id"] == PAYMENT
    assert sent()[0].params == {"tag": "nightly run"}


def test_options_leave_the_client_they_came_from_alone(web, client, sent):
    web.delete(ROW, status=204)
    client.with_options(RequestOptions(caller_id=ACCOUNT))

    client.delete("new_payment", PAYMENT)

    assert "MSCRMCallerID" not in sent()[0].headers


def test_moments_are_written_in_utc(web, client, sent, body):
    web.patch(ROW, status=204)

    client.update(Entity("new_payment", PAYMENT, {"new_paidon": datetime(2026, 11, 22, 17, tzinfo=UTC)}))

    assert body(sent()[0]) == {"new_paidon": "2026-11-22T17:00:00Z"}
