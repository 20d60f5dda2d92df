"""Which rows a filter finds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityReference,
    FilterExpression,
    LogicalOperator,
    Money,
    OptionSetValue,
    QueryExpression,
)
from runner.emulator.errors import AttributeNotFound, EntityNotFound, InvalidArgument
from runner.emulator.query.model import And, ColumnRef, Condition, Exists, Link, Not, Operator, Or, Query
from runner.emulator.seed import ADMINISTRATOR_ID, SYSTEM_USER_ID

NAMES = ("apple", "Banana", "cherry_1", "50%", "Éclair", None)


def is_(column, operator, *values):
    return Condition(ColumnRef(column), Operator(operator), values)


@pytest.fixture
def fruit(samples):
    """Names as above; parts 0, 10, 20 and so on, nothing for the last."""
    for number, name in enumerate(NAMES):
        last = name is None
        samples.create(
            "new_sample",
            new_name=name,
            new_part=None if last else number * 10,
            new_price=None if last else Money(Decimal(number) / 4),
            new_moment=None if last else datetime(2026, 1, 1, number, tzinfo=UTC),
            new_day=None if last else date(2026, 1, number + 1),
            new_flag=None if last else number % 2 == 0,
            new_colours=None if last else (OptionSetValue(1),) if number else (OptionSetValue(11), OptionSetValue(2)),
        )
    return samples


def found(crm, where):
    return set(crm.names("new_sample", "new_name", where))


@pytest.mark.behaviour(
    "Queries", "Conditions of QueryExpression, without regard to case", "fetchxml/reference/operators"
)
@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (is_("new_name", "eq", "APPLE"), {"apple"}),
        (is_("new_name", "eq", "éCLAIR"), {"Éclair"}),
        (is_("new_name", "eq", None), {None}),
        (is_("new_name", "ne", "apple"), {*NAMES} - {"apple"}),
        (is_("new_name", "ne", None), {*NAMES} - {None}),
        (is_("new_name", "gt", "banana"), {"cherry_1", "Éclair"}),
        (is_("new_name", "in", "APPLE", "éclair"), {"apple", "Éclair"}),
        (is_("new_name", "in"), set()),
        (is_("new_name", "not-in", "apple", "banana"), {*NAMES} - {"apple", "Banana"}),
        (is_("new_name", "not-in"), {*NAMES}),
        (is_("new_name", "null"), {None}),
        (is_("new_name", "not-null"), {*NAMES} - {None}),
        (is_("new_name", "contains", "AN"), {"Banana"}),
        (is_("new_name", "contains", "[_]"), {"cherry_1"}),
        (is_("new_name", "contains", "[%]"), {"50%"}),
        (is_("new_name", "contains", "a%a"), {"Banana"}),
        (is_("new_name", "begins-with", "[a-b]"), {"apple", "Banana"}),
        (is_("new_name", "ends-with", "_1"), {"cherry_1"}),
        (is_("new_name", "ends-with", "l__r"), {"Éclair"}),
        (is_("new_name", "contains", "ÉC"), {"Éclair"}),
        (is_("new_name", "not-contains", "a"), {"cherry_1", "50%", None}),
        (is_("new_name", "begins-with", "ban"), {"Banana"}),
        (is_("new_name", "not-begin-with", "ban"), {*NAMES} - {"Banana"}),
        (is_("new_name", "ends-with", "E"), {"apple"}),
        (is_("new_name", "not-end-with", "e"), {*NAMES} - {"apple"}),
        (is_("new_name", "like", "%AN%"), {"Banana"}),
        (is_("new_name", "like", "_pple"), {"apple"}),
        (is_("new_name", "like", "[a-b]%"), {"apple", "Banana"}),
        (is_("new_name", "like", "[^a-b]%"), {"cherry_1", "50%", "Éclair"}),
        (is_("new_name", "like", "éc%"), {"Éclair"}),
        (is_("new_name", "not-like", "%a%"), {"cherry_1", "50%", None}),
        (is_("new_part", "between", 10, 20), {"Banana", "cherry_1"}),
        (is_("new_part", "not-between", 10, 40), {"apple"}),
        (is_("new_part", "ge", "30"), {"50%", "Éclair"}),
        (is_("new_part", "gt", Decimal("19.5")), {"cherry_1", "50%", "Éclair"}),
        (is_("new_part", "eq", Decimal("19.5")), set()),
        (is_("new_price", "lt", Decimal("0.25")), {"apple"}),
        (is_("new_price", "le", Decimal("0.25001")), {"apple", "Banana"}),
        (is_("new_price", "eq", Money(Decimal("0.25"))), {"Banana"}),
        (is_("new_moment", "ge", datetime(2026, 1, 1, 3, tzinfo=UTC)), {"50%", "Éclair"}),
        (is_("new_moment", "ge", datetime(2026, 1, 1, 3, 0, 0, 1, tzinfo=UTC)), {"Éclair"}),
        (is_("new_moment", "lt", "2026-01-01T01:00:00Z"), {"apple"}),
        (is_("new_day", "gt", date(2026, 1, 4)), {"Éclair"}),
        (is_("new_flag", "eq", False), {"Banana", "50%"}),
        (is_("new_flag", "eq", "1"), {"apple", "cherry_1", "Éclair"}),
        (is_("new_colours", "contain-values", 2), {"apple"}),
        (is_("new_colours", "contain-values", 1, 2), {*NAMES} - {None}),
        (is_("new_colours", "not-contain-values", 1), {"apple", None}),
        (is_("ownerid", "eq", ADMINISTRATOR_ID), {*NAMES}),
        (is_("ownerid", "eq", EntityReference("systemuser", SYSTEM_USER_ID)), set()),
        (is_("statecode", "eq", OptionSetValue(0)), {*NAMES}),
        (is_("statecode", "in", "0", "1"), {*NAMES}),
    ],
    ids=lambda value: f"{value.column.name} {value.operator} {value.values}" if isinstance(value, Condition) else "",
)
def test_a_condition_finds(fruit, condition, names):
    assert found(fruit, condition) == names


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (And(), {*NAMES}),
        (Or(), {*NAMES}),
        (And((is_("new_part", "ge", 10), is_("new_part", "le", 10))), {"Banana"}),
        (Or((is_("new_part", "eq", 0), is_("new_name", "null"))), {"apple", None}),
        (Not(is_("new_part", "ge", 10)), {"apple", None}),
        (Not(Not(is_("new_part", "ge", 20))), {"cherry_1", "50%", "Éclair"}),
        (Not(And((is_("new_name", "not-null"), is_("new_part", "gt", 0)))), {"apple", None}),
    ],
)
def test_conditions_are_combined(fruit, where, names):
    assert found(fruit, where) == names


def test_two_columns_of_a_row_are_compared(samples):
    samples.create("new_sample", new_name="same", new_code="SAME")
    samples.create("new_sample", new_name="one", new_code="other")
    condition = Condition(ColumnRef("new_name"), Operator.EQUAL, (ColumnRef("new_code"),))
    assert samples.names("new_sample", "new_name", condition) == ["same"]


def test_columns_of_different_kinds_are_not_compared(samples):
    condition = Condition(ColumnRef("new_name"), Operator.EQUAL, (ColumnRef("new_part"),))
    with pytest.raises(InvalidArgument, match=r"'new_name'.*cannot be compared with 'new_part'"):
        found(samples, condition)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (is_("new_nmae", "eq", "x"), "new_nmae"),
        (is_("new_part", "eq", "ten"), "new_part"),
        (is_("new_part", "eq"), "new_part"),
        (is_("new_part", "between", 1), "new_part"),
        (is_("new_part", "like", "1%"), "new_part"),
        (is_("new_part", "contain-values", 1), "new_part"),
        (is_("new_moment", "gt", "yesterday"), "new_moment"),
        (is_("new_name", "eq", True), "new_name"),
        (is_("new_flag", "eq", "perhaps"), "new_flag"),
        (is_("ownerid", "eq", "me"), "ownerid"),
        (is_("new_price", "lt", Decimal("NaN")), "new_price"),
        (Condition(ColumnRef("new_name", "nowhere"), Operator.EQUAL, ("x",)), "nowhere"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_by_name(samples, condition, said):
    with pytest.raises(InvalidArgument, match=said):
        found(samples, condition)


def test_text_in_a_filter_is_never_sql(fruit):
    assert found(fruit, is_("new_name", "eq", "' OR '1'='1")) == set()
    with pytest.raises(AttributeNotFound):
        found(fruit, is_('new_name" OR 1 --', "null"))
    with pytest.raises(EntityNotFound):
        fruit.records.retrieve_multiple(Query('new_sample" --'))


def test_a_query_expression_asks_the_same(fruit):
    part = ConditionExpression("new_part", ConditionOperator.GREATER_THAN, (20,))
    empty = ConditionExpression("new_name", ConditionOperator.NULL)
    criteria = FilterExpression(LogicalOperator.OR, (empty,), (FilterExpression(conditions=(part,)),))
    rows = fruit.records.retrieve_multiple(QueryExpression("new_sample", ("new_name",), criteria))
    assert {row.get("new_name") for row in rows} == {"50%", "Éclair", None}


@pytest.fixture
def orders(crm):
    """Two accounts; the first has two payments, one of them through an order."""
    first, second = crm.create("account", name="First"), crm.create("account", name="Second")
    order = crm.create("salesorder", name="Order", customerid=first)
    crm.create("new_payment", new_name="with order", new_customerid=first, new_salesorderid=order)
    crm.create("new_payment", new_name="without", new_customerid=first)
    crm.create("new_payment", new_name="second's", new_customerid=second)
    return crm


def test_rows_are_found_by_the_row_they_refer_to(orders):
    link = Link("account", "accountid", "new_customerid", "a", "outer")
    where = Condition(ColumnRef("name", "a"), Operator.EQUAL, ("first",))
    assert set(orders.names("new_payment", "new_name", where, links=(link,))) == {"with order", "without"}


def test_linked_columns_come_as_aliased_values(orders):
    link = Link("salesorder", "salesorderid", "new_salesorderid", "o", columns=("name", "customerid"))
    (row,) = orders.records.retrieve_multiple(Query("new_payment", ("new_name",), links=(link,)))
    assert (row["o.name"].entity_logical_name, row["o.name"].value) == ("salesorder", "Order")
    assert row.formatted_values["o.customerid"] == "First"


def test_an_outer_link_keeps_the_rows_without_one(orders):
    link = Link("salesorder", "salesorderid", "new_salesorderid", "o", "outer", ("name",))
    rows = orders.records.retrieve_multiple(Query("new_payment", ("new_name",), links=(link,)))
    assert {row["new_name"]: "o.name" in row for row in rows} == {
        "with order": True,
        "without": False,
        "second's": False,
    }


def test_the_filter_of_an_outer_link_only_says_what_is_joined(orders):
    where = Condition(ColumnRef("name", "a"), Operator.EQUAL, ("First",))
    link = Link("account", "accountid", "new_customerid", "a", "outer", ("name",), where)
    rows = orders.records.retrieve_multiple(Query("new_payment", (), links=(link,)))
    assert sorted("a.name" in row for row in rows) == [False, True, True]


def test_links_go_on_from_links(orders):
    account = Link("account", "accountid", "customerid", "a", columns=("name",))
    order = Link("salesorder", "salesorderid", "new_salesorderid", "o", links=(account,))
    (row,) = orders.records.retrieve_multiple(Query("new_payment", (), links=(order,)))
    assert row["a.name"].value == "First"


def test_rows_are_found_by_the_rows_that_refer_to_them(orders):
    named = Condition(ColumnRef("new_name", "p"), Operator.CONTAINS, ("second",))
    some = Exists(Link("new_payment", "new_customerid", "accountid", "p", where=named))
    assert orders.names("account", "name", some) == ["Second"]
    assert orders.names("account", "name", Not(some)) == ["First"]


def test_an_alias_means_one_table(orders):
    link = Link("account", "accountid", "new_customerid", "a")
    with pytest.raises(InvalidArgument, match="'a'"):
        orders.names("new_payment", "new_name", links=(link, link))


def test_distinct_rows_come_once(orders):
    account = Link("account", "accountid", "new_customerid", "a", columns=("name",))
    rows = orders.records.retrieve_multiple(Query("new_payment", (), links=(account,), distinct=True))
    assert sorted(row["a.name"].value for row in rows) == ["First", "Second"]


_values = st.one_of(st.none(), st.integers(0, 4))
_conditions = st.one_of(
    st.builds(
        lambda operator, value: is_("new_part", operator, value),
        st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
        st.integers(0, 4),
    ),
    st.sampled_from([is_("new_part", "null"), is_("new_part", "not-null")]),
    st.builds(lambda values: is_("new_part", "in", *values), st.lists(_values, max_size=3)),
    st.builds(lambda values: is_("new_part", "not-in", *values), st.lists(_values, max_size=3)),
)
_filters = st.recursive(
    _conditions,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
_COMPARE = {
    "gt": lambda a, b: a is not None and a > b,
    "ge": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "le": lambda a, b: a is not None and a <= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}


def holds(part, value):
    """The same filter, in plain Python."""
    match part:
        case Not(inner):
            return not holds(inner, value)
        case And(parts):
            return all(holds(inner, value) for inner in parts)
        case Or(parts):
            return any(holds(inner, value) for inner in parts)
        case Condition(_, Operator.NULL):
            return value is None
        case Condition(_, Operator.NOT_NULL):
            return value is not None
        case Condition(_, Operator.IN, values):
            return value in values
        case Condition(_, Operator.NOT_IN, values):
            return value not in values
        case Condition(_, operator, (operand,)):
            return _COMPARE[operator.value](value, operand)


@settings(max_examples=150)
@given(where=_filters)
def test_any_filter_finds_what_it_would_find_in_python(samples, where):
    numbers = (0, 1, 2, 3, 4, None)
    if not samples.names("new_sample", "new_part"):
        samples.store.begin()
        for number in numbers:
            samples.records.create(Entity("new_sample", None, {"new_part": number}), ADMINISTRATOR_ID)
        samples.store.commit()
    expected = sorted(number for number in numbers if holds(where, number) and number is not None)
    rows = samples.names("new_sample", "new_part", where)
    assert sorted(number for number in rows if number is not None) == expected
    assert (None in rows) == holds(where, None)
