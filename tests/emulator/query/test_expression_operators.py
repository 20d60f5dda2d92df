"""Every ConditionOperator means in a QueryExpression what it means in FetchXML."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityReference,
    FilterExpression,
    LinkEntity,
    OrderExpression,
    QueryExpression,
)
from runner.emulator.errors import AttributeNotFound, InvalidArgument

Op = ConditionOperator
ON_DATES = [
    operator
    for operator in Op
    if operator.value.startswith(("last-", "this-", "next-", "olderthan-", "on", "in-"))
    or operator.value.endswith("day")
]
ON_OWNERS = [operator for operator in Op if "-user" in operator.value and operator is not Op.EQUAL_USER_LANGUAGE]


def asking(column, operator, *values):
    criteria = FilterExpression(conditions=(ConditionExpression(column, operator, values),))
    return QueryExpression("account", ("name",), criteria, (OrderExpression("name"),))


def values_of(operator):
    """What an operator on dates takes: a day, a number, a period and its year."""
    if operator.value.startswith("on"):
        return (datetime(2026, 1, 1, 15, tzinfo=UTC),)
    if operator.value.endswith("period-and-year"):
        return (1, 2026)
    if operator in (Op.IN_FISCAL_YEAR, Op.IN_FISCAL_PERIOD):
        return (2026 if operator is Op.IN_FISCAL_YEAR else 1,)
    return (2,) if "-x-" in operator.value else ()


@pytest.fixture
def found(service, send, fetch):
    """The names of the accounts that a query finds, which its FetchXML finds, too."""

    def ask(query):
        rows = service.retrieve_multiple(query).entities
        assert fetch(send("QueryExpressionToFetchXml", Query=query)["FetchXml"]).entities == rows
        return [row["name"] for row in rows]

    return ask


@pytest.fixture
def tree(service):
    """Root has the children Left and Right, and Left has the child Leaf."""
    ids = {}
    for name, parent in (("Root", None), ("Left", "Root"), ("Right", "Root"), ("Leaf", "Left")):
        columns = {"name": name, "parentaccountid": EntityReference("account", ids[parent]) if parent else None}
        ids[name] = service.create(Entity("account", None, columns))
    return ids


@pytest.mark.behaviour(
    "Queries",
    "Operators on dates, owners and hierarchies are seen from now and from the caller in a QueryExpression, too",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.query.conditionoperator",
)
@pytest.mark.parametrize("operator", ON_DATES)
def test_an_operator_on_dates_finds_what_fetchxml_finds(found, service, clock, operator):
    for days in (-800, -40, -8, -1, 0):
        service.create(
            Entity("account", None, {"name": str(days), "overriddencreatedon": clock.now() + timedelta(days)})
        )
    found(asking("createdon", operator, *values_of(operator)))


@pytest.mark.parametrize(
    ("operator", "values", "names"),
    [
        (Op.LAST_7_DAYS, (), ["-1", "0"]),
        (Op.LAST_X_DAYS, (1,), ["-1", "0"]),
        (Op.OLDER_THAN_X_MONTHS, (1,), ["-40", "-800"]),
        (Op.LAST_YEAR, (), ["-1", "-40", "-8"]),
        (Op.ON, (datetime(2026, 1, 1, tzinfo=UTC),), ["0"]),
        (Op.ON_OR_BEFORE, ("2025-12-31",), ["-1", "-40", "-8", "-800"]),
        (Op.IN_FISCAL_PERIOD_AND_YEAR, (4, 2025), ["-1", "-40", "-8"]),
    ],
)
def test_dates_are_seen_from_now(found, service, clock, operator, values, names):
    """Given that it is 1 January 2026, and rows made so many days ago."""
    for days in (-800, -40, -8, -1, 0):
        service.create(
            Entity("account", None, {"name": str(days), "overriddencreatedon": clock.now() + timedelta(days)})
        )
    assert found(asking("createdon", operator, *values)) == names


@pytest.mark.parametrize("operator", ON_OWNERS)
def test_the_caller_is_who_asks(found, tree, operator):
    expected = [] if operator in (Op.NOT_EQUAL_USER_ID, Op.EQUAL_USER_TEAMS) else ["Leaf", "Left", "Right", "Root"]
    assert found(asking("ownerid", operator)) == expected


@pytest.mark.parametrize(
    ("operator", "names"),
    [
        (Op.ABOVE, ["Root"]),
        (Op.ABOVE_OR_EQUAL, ["Left", "Root"]),
        (Op.UNDER, ["Leaf"]),
        (Op.UNDER_OR_EQUAL, ["Leaf", "Left"]),
        (Op.NOT_UNDER, ["Left", "Right", "Root"]),
    ],
)
def test_a_row_has_a_place_in_its_tree(found, tree, operator, names):
    assert found(asking("accountid", operator, tree["Left"])) == names
    assert found(asking("accountid", operator, EntityReference("account", tree["Left"]))) == names


@pytest.mark.parametrize(
    ("operator", "values", "names"),
    [
        (Op.NOT_BETWEEN, ("M", "Ri"), ["Leaf", "Left", "Right", "Root"]),
        (Op.DOES_NOT_BEGIN_WITH, ("Le",), ["Right", "Root"]),
        (Op.DOES_NOT_END_WITH, ("t",), ["Leaf"]),
    ],
)
def test_a_negative_operator_finds_the_others(found, tree, operator, values, names):
    assert found(asking("name", operator, *values)) == names


def test_a_link_may_have_such_a_condition(service, tree):
    today = FilterExpression(conditions=(ConditionExpression("createdon", Op.TODAY),))
    mother = LinkEntity("account", "parentaccountid", "accountid", link_criteria=today)
    query = QueryExpression("account", ("name",), link_entities=(mother,))
    assert len(service.retrieve_multiple(query)) == 3


@pytest.mark.parametrize(
    ("query", "fault", "said"),
    [
        (asking("name", Op.TODAY), InvalidArgument, "needs a date"),
        (asking("createdon", Op.LAST_X_DAYS), InvalidArgument, r"takes 1 value\(s\), not 0"),
        (asking("createdon", Op.LAST_X_DAYS, None), InvalidArgument, "a whole number above 0"),
        (asking("createdon", Op.ON, "soon"), InvalidArgument, "takes a date"),
        (asking("no_such", Op.TODAY), AttributeNotFound, "no_such"),
        (asking("createdon", Op.EQUAL, 5), InvalidArgument, "'createdon' of 'account' .* cannot be compared with 5"),
    ],
)
def test_an_operator_that_does_not_fit_is_refused(service, query, fault, said):
    with pytest.raises(fault, match=said):
        service.retrieve_multiple(query)


@pytest.mark.parametrize("operator", list(Op))
def test_every_operator_is_known(service, operator):
    assert "not supported" not in refusal_of(service, asking("createdon", operator))


def refusal_of(service, query):
    try:
        service.retrieve_multiple(query)
    except InvalidArgument as refusal:
        return str(refusal)
    return ""


def test_rows_without_a_caller_have_no_such_operators(crm):
    with pytest.raises(InvalidArgument, match="by RetrieveMultiple"):
        crm.records.retrieve_multiple(asking("ownerid", Op.EQUAL_USER_ID))
