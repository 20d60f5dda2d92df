"""Order, pages and counts."""

from __future__ import annotations

import random
from itertools import product

import pytest

from dataverse_client.types import Entity, OrderExpression, OrderType, PagingInfo, QueryExpression
from runner.emulator.errors import InvalidArgument
from runner.emulator.query.model import Aggregate, ColumnRef, Condition, GroupBy, Link, Operator, Order, Page, Query
from runner.emulator.seed import ADMINISTRATOR_ID

ROWS = 60


@pytest.fixture
def many(samples):
    """Rows with few different values, some none, so that there are ties everywhere."""
    chance = random.Random(7)  # noqa: S311 - the same rows every time
    samples.store.begin()
    for _ in range(ROWS):
        columns = {
            "new_name": chance.choice([None, "a", "B", "c"]),
            "new_part": chance.choice([None, 1, 2]),
            "new_flag": chance.choice([True, False]),
        }
        samples.records.create(Entity("new_sample", None, columns), ADMINISTRATOR_ID)
    samples.store.commit()
    return samples


def by(*columns):
    return tuple(Order(ColumnRef(column.strip("-")), column.startswith("-")) for column in columns)


def pages(crm, query, size):
    """Every page, each asked for with the cookie of the one before."""
    cookie = None
    while True:
        answer = crm.records.retrieve_multiple(
            Query(**query, page=Page(size, cookie=cookie)),
        )
        yield [row.id for row in answer]
        cookie = answer.paging_cookie
        if not answer.more_records:
            return


@pytest.mark.behaviour(
    "Queries", "Pages put together are the whole, in order, without a row twice", "webapi/query/page-results"
)
@pytest.mark.parametrize("size", [1, 7, 59, 60, 61])
@pytest.mark.parametrize(
    "orders",
    [(), *product(["new_name", "-new_name"], ["new_part", "-new_part"]), ("-new_flag",), ("-new_part",)],
    ids=" ".join,
)
def test_pages_put_together_are_the_whole_in_order(many, orders, size):
    query = {"entity_name": "new_sample", "columns": (), "orders": by(*orders)}
    whole = [row.id for row in many.records.retrieve_multiple(Query(**query))]
    found = list(pages(many, query, size))
    assert [id for page in found for id in page] == whole
    assert len(set(whole)) == ROWS
    assert {len(page) for page in found[:-1]} <= {size}


def test_rows_without_a_value_come_first_and_text_is_sorted_without_case(samples):
    for name in ("b", "C", None, "A"):
        samples.create("new_sample", new_name=name)
    assert samples.names("new_sample", "new_name", orders=by("new_name")) == [None, "A", "b", "C"]
    assert samples.names("new_sample", "new_name", orders=by("-new_name")) == ["C", "b", "A", None]


def test_a_row_that_comes_in_between_moves_no_other(many):
    query = {"entity_name": "new_sample", "columns": (), "orders": by("new_name")}
    asked = pages(many, query, 20)
    first = next(asked)
    many.create("new_sample", new_name=None)
    rest = [id for page in asked for id in page]
    assert not set(first) & set(rest)
    assert ROWS <= len(first) + len(rest) <= ROWS + 1


def test_a_page_can_be_reached_by_its_number(many):
    whole = [row.id for row in many.records.retrieve_multiple(Query("new_sample"))]
    paging = PagingInfo(count=10, page_number=3)
    third = many.records.retrieve_multiple(QueryExpression("new_sample", page_info=paging))
    assert [row.id for row in third] == whole[20:30]


def test_a_query_expression_orders_too(many):
    orders = (OrderExpression("new_part", OrderType.DESCENDING),)
    rows = many.records.retrieve_multiple(QueryExpression("new_sample", ("new_part",), orders=orders, top_count=3))
    assert [row["new_part"] for row in rows] == [2, 2, 2]


def test_top_is_the_first_rows_and_no_page_follows(many):
    answer = many.records.retrieve_multiple(Query("new_sample", top=5))
    assert (len(answer), answer.more_records, answer.paging_cookie) == (5, False, None)


def test_counting_counts_what_the_filter_finds(many):
    some = Condition(ColumnRef("new_part"), Operator.EQUAL, (1,))
    answer = many.records.retrieve_multiple(Query("new_sample", where=some, page=Page(3), count=True))
    assert answer.total_record_count == len(many.names("new_sample", "new_part", some)) > 3


def test_without_being_asked_nothing_is_counted(many):
    assert many.records.retrieve_multiple(Query("new_sample")).total_record_count == -1


@pytest.mark.parametrize("size", [1, 4])
def test_rows_multiplied_by_a_link_are_paged_too(crm, size):
    accounts = [crm.create("account", name=name) for name in ("x", "y")]
    for account in accounts * 3:
        crm.create("new_payment", new_customerid=account)
    link = Link("new_payment", "new_customerid", "accountid", "p")
    query = {"entity_name": "account", "columns": (), "links": (link,), "orders": by("name")}
    assert [id for page in pages(crm, query, size) for id in page] == [accounts[0].id] * 3 + [accounts[1].id] * 3


@pytest.mark.parametrize(
    "cookie", ["", "x", "[]", "{}", "[1]", "[0,null]", '["1",null]', "[1,[2]]", "[1,1,2,3]", "[99999999999999999999,1]"]
)
def test_a_cookie_that_is_none_is_refused(many, cookie):
    with pytest.raises(InvalidArgument, match="paging cookie"):
        many.records.retrieve_multiple(Query("new_sample", page=Page(5, cookie=cookie)))


@pytest.mark.parametrize("query", [{"top": 0}, {"page": Page(0)}, {"page": Page(5, 0)}, {"top": 1, "page": Page(5)}])
def test_a_page_that_makes_no_sense_is_refused(many, query):
    with pytest.raises(InvalidArgument):
        many.records.retrieve_multiple(Query("new_sample", **query))


def test_no_page_of_an_indexed_order_scans_or_sorts(crm, monkeypatch):
    """Wherever the page is: what SQLite says it will do names a search in an index, and no sorting."""
    for number in range(30):
        account = crm.create("account", name=str(number % 3))
        crm.create("new_payment", new_customerid=account)
    plans = []
    execute = crm.store.execute

    def explained(sql, parameters=()):
        if "LIMIT" in sql:
            plans.extend(row[3] for row in execute(f"EXPLAIN QUERY PLAN {sql}", parameters))
        return execute(sql, parameters)

    query = {"entity_name": "new_payment", "columns": (), "orders": by("-new_customerid")}
    first = crm.records.retrieve_multiple(Query(**query, page=Page(10)))
    monkeypatch.setattr(crm.store, "execute", explained)
    crm.records.retrieve_multiple(Query(**query, page=Page(10, cookie=first.paging_cookie)))
    assert plans
    assert all(plan.startswith("SEARCH") and "INDEX" in plan for plan in plans)


def test_groups_are_counted_and_summed(crm, money):
    account, other = crm.create("account", name="x"), crm.create("account", name="y")
    for customer, amount in ((account, "1.5"), (account, "2"), (other, "7"), (other, None)):
        crm.create("new_payment", new_customerid=customer, new_amount=amount and money(amount))
    amount = ColumnRef("new_amount")
    query = Query(
        "new_payment",
        group_by=(GroupBy(ColumnRef("new_customerid"), "customer"),),
        aggregates=(
            Aggregate("count", None, "rows"),
            Aggregate("countcolumn", amount, "amounts"),
            Aggregate("sum", amount, "total"),
            Aggregate("avg", amount, "average"),
            Aggregate("max", amount, "most"),
        ),
        orders=by("-total"),
    )
    rows = crm.records.retrieve_multiple(query)
    assert [{alias: value.value for alias, value in row.items()} for row in rows] == [
        {"customer": other, "rows": 2, "amounts": 1, "total": money("7"), "average": money("7"), "most": money("7")},
        {
            "customer": account,
            "rows": 2,
            "amounts": 2,
            "total": money("3.5"),
            "average": money("1.75"),
            "most": money("2"),
        },
    ]


def test_rows_are_grouped_by_month(crm):
    crm.create("new_payment")
    group = GroupBy(ColumnRef("createdon"), "month", "month")
    (row,) = crm.records.retrieve_multiple(
        Query("new_payment", aggregates=(Aggregate("count", None, "n"),), group_by=(group,))
    )
    assert (row["month"].value, row["n"].value) == (1, 1)


def test_an_average_of_nothing_is_nothing(crm):
    average = Aggregate("avg", ColumnRef("new_amount"), "average")
    (row,) = crm.records.retrieve_multiple(Query("new_payment", aggregates=(average,)))
    assert "average" not in row


@pytest.mark.parametrize(
    "query",
    [
        {"aggregates": (Aggregate("sum", ColumnRef("new_name"), "x"),)},
        {"aggregates": (Aggregate("sum", ColumnRef("new_nmae"), "x"),)},
        {"group_by": (GroupBy(ColumnRef("new_name"), "x", "month"),)},
        {"aggregates": (Aggregate("count", None, "x"),), "orders": by("y")},
    ],
)
def test_an_aggregate_that_makes_no_sense_is_refused(crm, query):
    with pytest.raises(InvalidArgument):
        crm.records.retrieve_multiple(Query("new_payment", **query))


def test_rows_are_limited_or_paged_not_both(many):
    question = QueryExpression("new_sample", ("new_part",), top_count=2, page_info=PagingInfo(3))
    with pytest.raises(InvalidArgument, match=r"The Top.Count = 2 can't be specified with pagingInfo"):
        many.records.retrieve_multiple(question)


def test_more_rows_than_a_query_answers_are_not_asked_for(many):
    with pytest.raises(InvalidArgument, match="between 0 and 5000"):
        many.records.retrieve_multiple(QueryExpression("new_sample", top_count=5001))


def test_a_page_of_no_size_is_of_the_usual_one(many):
    question = QueryExpression("new_sample", ("new_part",), page_info=PagingInfo(0, 0, return_total_record_count=True))
    answer = many.records.retrieve_multiple(question)
    assert (len(answer), answer.total_record_count) == (ROWS, ROWS)
