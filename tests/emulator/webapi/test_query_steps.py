"""What a RetrieveMultiple step is shown of a question asked in OData."""

from __future__ import annotations

import pytest

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    FilterExpression,
    LogicalOperator,
    OrderExpression,
    OrderType,
    QueryExpression,
)
from runner.emulator.query.model import Query
from runner.execution.step import Step
from runner.plugin import Plugin

NAMED = ConditionExpression("name", ConditionOperator.EQUAL, ("A",))


@pytest.fixture
def seen(emulator):
    """The queries a step before RetrieveMultiple of accounts was given."""
    queries = []

    class Look(Plugin):
        def execute(self, context):
            queries.append(context.input_parameters["Query"])

    emulator.register(Step(plugin=Look(), message="RetrieveMultiple", entity="account", stage=20))
    return queries


@pytest.mark.behaviour(
    "Queries",
    "A RetrieveMultiple step sees what OData asks as a QueryExpression",
    "org-service/queryexpression/overview",
)
@pytest.mark.parametrize(
    ("filter", "criteria"),
    [
        ("name eq 'A'", FilterExpression(conditions=(NAMED,))),
        ("name eq null", FilterExpression(conditions=(ConditionExpression("name", ConditionOperator.NULL),))),
        (
            "not (name eq 'A')",
            FilterExpression(conditions=(ConditionExpression("name", ConditionOperator.NOT_EQUAL, ("A",)),)),
        ),
        (
            "contains(name,'A')",
            FilterExpression(conditions=(ConditionExpression("name", ConditionOperator.LIKE, ("%A%",)),)),
        ),
        (
            "name eq 'A' or (name eq 'A' and not startswith(name,'B'))",
            FilterExpression(
                LogicalOperator.OR,
                (NAMED,),
                (
                    FilterExpression(
                        conditions=(NAMED, ConditionExpression("name", ConditionOperator.NOT_LIKE, ("B%",)))
                    ),
                ),
            ),
        ),
    ],
)
def test_a_step_sees_a_query_expression(crm, seen, filter, criteria):
    crm.create("accounts", name="A")
    page = crm.get(
        f"accounts?$select=name&$filter={filter}&$orderby=name desc&$count=true", Prefer="odata.maxpagesize=1"
    )
    (query,) = seen
    assert isinstance(query, QueryExpression)
    assert (query.entity_name, query.criteria) == ("account", criteria)
    assert query.orders == (OrderExpression("name", OrderType.DESCENDING),)
    assert (query.page_info.count, query.page_info.return_total_record_count) == (1, True)
    assert page["@odata.count"] == len(page["value"])


@pytest.mark.behaviour(
    "Queries",
    "A RetrieveMultiple step sees the tables that OData joins and asks about as a QueryExpression's links",
    "org-service/queryexpression/join-tables",
)
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("primarycontactid/lastname eq 'x'", ["A"]),
        ("contact_customer_accounts/any(c:c/lastname eq 'x')", ["A"]),
        ("name eq 'B' or contact_customer_accounts/any(c:c/lastname eq 'x')", ["A", "B"]),
        ("not contact_customer_accounts/any(c:c/lastname eq 'x') and primarycontactid/lastname ne null", ["B"]),
    ],
)
def test_a_step_sees_links(crm, seen, filter, found):
    """Given A, whose primary contact is x, who is also its only contact, and B, whose primary contact is y."""
    x, y = crm.create("contacts", lastname="x"), crm.create("contacts", lastname="y")
    crm.create("accounts", name="B", **{"primarycontactid@odata.bind": f"/contacts({y})"})
    a = crm.create("accounts", name="A", **{"primarycontactid@odata.bind": f"/contacts({x})"})
    crm.patch(f"contacts({x})", {"parentcustomerid_account@odata.bind": f"/accounts({a})"})
    rows = crm.get(f"accounts?$select=name&$filter={filter}&$orderby=name")["value"]
    assert [row["name"] for row in rows] == found
    assert isinstance(seen[0], QueryExpression)
    assert list(seen[0].named_links())


def test_a_step_sees_that_columns_are_compared(crm, seen):
    crm.create("accounts", name="A", accountnumber="A")
    assert len(crm.get("accounts?$filter=name eq accountnumber")["value"]) == 1
    compared = ConditionExpression("name", ConditionOperator.EQUAL, ("accountnumber",), compare_columns=True)
    assert seen[0].criteria.conditions == (compared,)


@pytest.mark.parametrize(
    "asked",
    [
        "$filter=not (name eq 'A' and revenue eq 1)",
        "$apply=groupby((name))",
        "$orderby=customertypecode",
    ],
)
def test_what_no_expression_says_stays_a_query(crm, seen, asked):
    crm.get(f"accounts?{asked}")
    assert isinstance(seen[0], Query)


def test_pages_are_the_same_with_a_step(crm, seen):
    for name in "CAB":
        crm.create("accounts", name=name)
    page, found = crm.get("accounts?$select=name&$orderby=name", Prefer="odata.maxpagesize=2"), []
    while "@odata.nextLink" in page:
        found += page["value"]
        page = crm.get(page["@odata.nextLink"], Prefer="odata.maxpagesize=2")
    assert [row["name"] for row in (*found, *page["value"])] == ["A", "B", "C"]
