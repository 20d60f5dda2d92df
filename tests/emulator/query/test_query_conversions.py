"""FetchXML becomes a QueryExpression and back, and both find the same rows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityReference,
    FilterExpression,
    LogicalOperator,
    Money,
    OptionSetValue,
    OrderExpression,
    OrderType,
    PagingInfo,
    QueryExpression,
)
from runner.emulator.errors import AttributeNotFound, InvalidArgument, NotSupported
from runner.emulator.seed import ADMINISTRATOR_ID

FETCH = (
    "<fetch top='2'><entity name='account'><attribute name='name'/><order attribute='name' descending='true'/>"
    "<filter type='or'><condition attribute='name' operator='begins-with' value='A'/>"
    "<filter><condition attribute='numberofemployees' operator='in'><value>5</value><value>7</value></condition>"
    "<condition attribute='customertypecode' operator='null'/></filter></filter></entity></fetch>"
)


@pytest.fixture
def accounts(service):
    for name, employees in (("Ada", 1), ("Bea", 5), ("Cid & Co", 7), ("Dora", 9)):
        service.create(Entity("account", None, {"name": name, "numberofemployees": employees}))


@pytest.fixture
def converted(send):
    """The query as FetchXML."""
    return lambda query: send("QueryExpressionToFetchXml", Query=query)["FetchXml"]


@pytest.mark.behaviour(
    "Messages",
    "FetchXmlToQueryExpression answers the QueryExpression that finds the same rows",
    "https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.fetchxmltoqueryexpressionrequest",
)
def test_fetchxml_becomes_an_expression(service, send, fetch, accounts):
    query = send("FetchXmlToQueryExpression", FetchXml=FETCH)["Query"]
    assert (query.entity_name, query.column_set, query.top_count) == ("account", ("name",), 2)
    assert query.orders == (OrderExpression("name", OrderType.DESCENDING),)
    assert [row["name"] for row in service.retrieve_multiple(query)] == ["Cid & Co", "Bea"]
    assert service.retrieve_multiple(query).entities == fetch(FETCH).entities


@pytest.mark.parametrize("asked", ["<all-attributes/>", ""])
def test_all_columns_stay_all_columns(send, converted, asked):
    query = send("FetchXmlToQueryExpression", FetchXml=f"<fetch><entity name='account'>{asked}</entity></fetch>")[
        "Query"
    ]
    assert query.column_set is None
    assert "<all-attributes />" in converted(query)


def condition(column, operator, *values):
    return FilterExpression(conditions=(ConditionExpression(column, operator, values),))


@pytest.mark.behaviour(
    "Messages",
    "QueryExpressionToFetchXml answers the FetchXML that finds the same rows",
    "https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.queryexpressiontofetchxmlrequest",
)
@pytest.mark.parametrize(
    ("criteria", "count"),
    [
        (condition("name", ConditionOperator.EQUAL, "Cid & Co"), 1),
        (condition("name", ConditionOperator.LIKE, "%d%"), 3),
        (condition("numberofemployees", ConditionOperator.BETWEEN, 5, 7), 2),
        (condition("numberofemployees", ConditionOperator.IN, 5), 1),
        (condition("revenue", ConditionOperator.GREATER_THAN, Money(Decimal("0.10"))), 0),
        (condition("statecode", ConditionOperator.EQUAL, OptionSetValue(0)), 4),
        (condition("creditonhold", ConditionOperator.EQUAL, False), 4),
        (condition("ownerid", ConditionOperator.EQUAL, EntityReference("systemuser", ADMINISTRATOR_ID)), 4),
        (condition("createdon", ConditionOperator.LESS_EQUAL, datetime(2026, 1, 1, 12, tzinfo=UTC)), 4),
        (condition("parentaccountid", ConditionOperator.NOT_NULL), 0),
        (FilterExpression(), 4),
        (
            FilterExpression(
                LogicalOperator.OR,
                (ConditionExpression("name", ConditionOperator.EQUAL, ("Ada",)),),
                (condition("name", ConditionOperator.EQUAL, "Dora"),),
            ),
            2,
        ),
    ],
)
def test_an_expression_becomes_fetchxml(service, fetch, converted, accounts, criteria, count):
    query = QueryExpression("account", ("name",), criteria, (OrderExpression("name"),))
    found = service.retrieve_multiple(query).entities
    assert len(found) == count
    assert fetch(converted(query)).entities == found


def test_every_column_and_a_page(service, fetch, converted, accounts):
    first = QueryExpression("account", None, orders=(OrderExpression("name"),), page_info=PagingInfo(3, 1))
    second = QueryExpression("account", None, orders=(OrderExpression("name"),), page_info=PagingInfo(3, 2))
    assert [row["name"] for row in fetch(converted(first))] == ["Ada", "Bea", "Cid & Co"]
    assert fetch(converted(second)).entities == service.retrieve_multiple(second).entities


@pytest.mark.behaviour(
    "Queries",
    "A QueryExpression sorts choices by their labels, and lookups by the names of their rows",
    "webapi/query/order-rows",
)
def test_an_expression_sorts_by_label(service, fetch, converted):
    """Given the customer types Competitor, Consultant, Customer, Press (7) and Other (12)."""
    for code in (12, 3, 1, 7, 2):
        service.create(Entity("account", None, {"name": "x", "customertypecode": OptionSetValue(code)}))
    by_type = QueryExpression("account", ("customertypecode",), orders=(OrderExpression("customertypecode"),))
    found = service.retrieve_multiple(by_type).entities
    assert [row["customertypecode"].value for row in found] == [1, 2, 3, 12, 7]
    assert fetch(converted(by_type)).entities == found


def test_an_expression_sorts_lookups_by_name_page_by_page(service):
    for name in ("b", "C", "a"):
        above = EntityReference("account", service.create(Entity("account", None, {"name": name})))
        service.create(Entity("account", None, {"name": f"of {name}", "parentaccountid": above}))
    by_parent, cookie = (OrderExpression("parentaccountid", OrderType.DESCENDING),), None
    names = []
    for page in (1, 2, 3):
        rows = service.retrieve_multiple(
            QueryExpression("account", ("name",), orders=by_parent, page_info=PagingInfo(1, page, cookie))
        )
        names.append(rows[0]["name"])
        cookie = rows.paging_cookie
    assert names == ["of C", "of b", "of a"]


def test_both_ways_lead_back(send, converted):
    query = send("FetchXmlToQueryExpression", FetchXml=FETCH)["Query"]
    assert send("FetchXmlToQueryExpression", FetchXml=converted(query))["Query"] == query


@pytest.mark.parametrize(
    ("xml", "refusal"),
    [
        ("<fetch", InvalidArgument),
        ("<fetch><entity name='account'><attribute name='nme'/></entity></fetch>", AttributeNotFound),
        (
            "<fetch aggregate='true'><entity name='account'><attribute name='name' aggregate='count' alias='n'/>"
            "</entity></fetch>",
            NotSupported,
        ),
        (
            "<fetch useraworderby='true'><entity name='account'><order attribute='customertypecode'/></entity></fetch>",
            NotSupported,
        ),
    ],
    ids=["no XML", "no column", "an aggregate", "by value"],
)
def test_what_cannot_be_an_expression_is_refused(send, xml, refusal):
    with pytest.raises(refusal):
        send("FetchXmlToQueryExpression", FetchXml=xml)
