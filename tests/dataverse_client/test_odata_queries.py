"""A QueryExpression becomes the OData query that asks the same."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import unquote

import pytest

from dataverse_client.errors import InvalidRequestError
from dataverse_client.query import filter_text, query_request
from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
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

ROOT = "https://contoso.crm.dynamics.com/api/data/v9.2/"
ID = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"
Op = ConditionOperator


def having(*conditions: tuple) -> FilterExpression:
    return FilterExpression(conditions=tuple(ConditionExpression(c, op, tuple(v)) for c, op, *v in conditions))


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (("new_name", Op.EQUAL, "O'Brien"), "new_name eq 'O''Brien'"),
        (("new_name", Op.NOT_EQUAL, ID), f"new_name ne '{ID}'"),
        (("new_paymentid", Op.EQUAL, ID.upper()), f"new_paymentid eq {ID}"),
        (("new_salesorderid", Op.EQUAL, EntityReference("salesorder", ID)), f"_new_salesorderid_value eq {ID}"),
        (("new_salesorderid", Op.EQUAL, ID), f"_new_salesorderid_value eq {ID}"),
        (("new_salesorderid", Op.NULL), "_new_salesorderid_value eq null"),
        (("new_name", Op.NOT_NULL), "new_name ne null"),
        (("new_name", Op.EQUAL, None), "new_name eq null"),
        (("new_amount", Op.GREATER_THAN, Money(Decimal("1E+2"))), "new_amount gt 100"),
        (("new_amount", Op.GREATER_EQUAL, Decimal("0.10")), "new_amount ge 0.10"),
        (("new_attempts", Op.LESS_THAN, 3), "new_attempts lt 3"),
        (("new_manual", Op.LESS_EQUAL, True), "new_manual le true"),
        (("new_paymentstatus", Op.EQUAL, OptionSetValue(7)), "new_paymentstatus eq 7"),
        (("new_paidon", Op.EQUAL, datetime(2026, 11, 22, tzinfo=UTC)), "new_paidon eq 2026-11-22T00:00:00Z"),
        (("new_dueon", Op.EQUAL, date(2026, 11, 22)), "new_dueon eq 2026-11-22"),
        (("new_attempts", Op.BETWEEN, 1, 3), "(new_attempts ge 1 and new_attempts le 3)"),
        (("new_name", Op.BEGINS_WITH, "pi_"), "startswith(new_name,'pi_')"),
        (("new_name", Op.ENDS_WITH, "7"), "endswith(new_name,'7')"),
        (("new_name", Op.LIKE, "%it's%"), "contains(new_name,'it''s')"),
        (("new_name", Op.LIKE, "it's%"), "startswith(new_name,'it''s')"),
        (("new_name", Op.LIKE, "%'"), "endswith(new_name,'''')"),
        (("new_name", Op.LIKE, "same"), "new_name eq 'same'"),
        (("new_name", Op.LIKE, "pi_%"), "startswith(new_name,'pi_')"),
        (("new_name", Op.LIKE, "%a[b-d]%"), "contains(new_name,'a[b-d]')"),
        (("new_name", Op.NOT_LIKE, "%x"), "not (endswith(new_name,'x'))"),
        (
            ("new_name", Op.IN, "a", 'it\'s "b"'),
            'Microsoft.Dynamics.CRM.In(PropertyName=\'new_name\',PropertyValues=["a","it\'s \\"b\\""])',
        ),
        (
            ("new_attempts", Op.NOT_IN, 1, 2),
            'Microsoft.Dynamics.CRM.NotIn(PropertyName=\'new_attempts\',PropertyValues=["1","2"])',
        ),
        (("new_salesorderid", Op.IN, ID), f"(_new_salesorderid_value eq {ID})"),
        (("ownerid", Op.NOT_IN, ID, ID), f"(_ownerid_value ne {ID} and _ownerid_value ne {ID})"),
    ],
)
def test_a_condition_in_odata(payment_table, condition, text):
    assert filter_text(having(condition), payment_table) == text


@pytest.mark.parametrize(
    "condition",
    [
        ("new_name", Op.LIKE, "a%b"),
        ("new_name", Op.LIKE, "a_b"),
        ("new_attempts", Op.BETWEEN, 1),
        ("new_attempts", Op.EQUAL),
        ("new_attempts", Op.IN),
        ("new_name", Op.EQUAL, "\ud800"),
        ("new_attempts", Op.EQUAL, 1, 2),
        ("new_paymentid", Op.EQUAL, "not an id"),
        ("new_amount", Op.EQUAL, 1.5),
    ],
)
def test_a_condition_odata_cannot_say_is_refused(payment_table, condition):
    with pytest.raises(InvalidRequestError):
        filter_text(having(condition), payment_table)


def test_a_filter_within_a_filter_gets_parentheses(payment_table):
    either = FilterExpression(
        LogicalOperator.OR, having(("new_attempts", Op.EQUAL, 1), ("new_attempts", Op.EQUAL, 2)).conditions
    )
    both = FilterExpression(conditions=having(("new_name", Op.NOT_NULL)).conditions, filters=(either,))

    assert filter_text(both, payment_table) == "new_name ne null and (new_attempts eq 1 or new_attempts eq 2)"


def test_an_empty_filter_holds_for_every_row(payment_table):
    some, every = having(("new_name", Op.NOT_NULL)).conditions, FilterExpression()

    assert filter_text(every, payment_table) == ""
    assert filter_text(FilterExpression(conditions=some, filters=(every,)), payment_table) == "new_name ne null"
    assert filter_text(FilterExpression(LogicalOperator.OR, some, (every,)), payment_table) == ""


def test_a_whole_query_is_one_escaped_url(payment_table):
    query = QueryExpression(
        "new_payment",
        ("new_name", "new_salesorderid"),
        having(("new_name", Op.EQUAL, "R&D + 100 %#")),
        (OrderExpression("new_amount", OrderType.DESCENDING), OrderExpression("ownerid")),
        top_count=5,
    )

    request = query_request(query, payment_table, ROOT)

    assert not set(" &+#") & set(request.path.partition("$filter=")[2].partition("&")[0])
    assert unquote(request.path) == (
        "new_payments?$select=new_name,_new_salesorderid_value&$filter=new_name eq 'R&D + 100 %#'"
        "&$orderby=new_amount desc,_ownerid_value asc&$top=5"
    )


def test_no_choice_of_columns_is_all_and_an_empty_one_the_id(payment_table):
    assert query_request(QueryExpression("new_payment"), payment_table, ROOT).path == "new_payments"
    assert query_request(QueryExpression("new_payment", ()), payment_table, ROOT).path.endswith("$select=new_paymentid")


def test_more_rows_than_dataverse_returns_at_once_are_paged_not_topped(payment_table):
    assert "$top" not in query_request(QueryExpression("new_payment", top_count=5001), payment_table, ROOT).path


def test_pages_are_no_larger_than_the_rows_wanted(payment_table):
    query = QueryExpression("new_payment", top_count=3, page_info=PagingInfo(count=10))

    request = query_request(query, payment_table, ROOT)

    assert request.path == "new_payments"
    assert request.headers["Prefer"].endswith("odata.maxpagesize=3")


@pytest.mark.parametrize("origin", ["https://contoso.crm.dynamics.com", "https://CONTOSO.crm.dynamics.com:443"])
def test_the_next_page_is_asked_for_as_the_server_says(payment_table, origin):
    link = f"{origin}/api/data/v9.2/new_payments?$skiptoken=%3Ccookie%20a%3D%221%22"
    query = QueryExpression("new_payment", page_info=PagingInfo(paging_cookie=link))

    assert query_request(query, payment_table, ROOT).path == "new_payments?$skiptoken=%3Ccookie%20a%3D%221%22"


def test_a_page_by_number_is_refused(payment_table):
    query = QueryExpression("new_payment", page_info=PagingInfo(page_number=2))

    with pytest.raises(InvalidRequestError, match="paging_cookie"):
        query_request(query, payment_table, ROOT)
