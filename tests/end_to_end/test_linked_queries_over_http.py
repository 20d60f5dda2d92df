"""What a QueryExpression with links finds over HTTP is what it finds in the embedded Dataverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from dataverse_client.client import DataverseClient
from dataverse_client.errors import InvalidRequestError
from dataverse_client.types import (
    AliasedValue,
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityReference,
    FilterExpression,
    JoinOperator,
    LinkEntity,
    Money,
    OptionSetValue,
    OrderExpression,
    PagingInfo,
    QueryExpression,
)
from runner.emulator.adapter import client_of
from runner.emulator.emulator import Emulator

Op = ConditionOperator
ORDERS = LinkEntity(
    "salesorder",
    "accountid",
    "customerid",
    columns=("ordernumber", "customerid", "totalamount", "statecode"),
    entity_alias="o",
    orders=(OrderExpression("ordernumber"),),
)
ACCOUNTS = QueryExpression("account", ("name",), link_entities=(ORDERS,))


@pytest.fixture
def crm() -> Iterator[Emulator]:
    """Contoso has the orders 1, 2 and 3, and Fabrikam has none."""
    with Emulator() as emulator:
        service = emulator.service()
        service.create(Entity("account", None, {"name": "Fabrikam"}))
        contoso = EntityReference("account", service.create(Entity("account", None, {"name": "Contoso"})))
        for number in "123":
            columns = {"ordernumber": number, "customerid": contoso, "totalamount": Money(Decimal("9.50"))}
            service.create(Entity("salesorder", None, columns))
        yield emulator


@pytest.fixture
def client(crm: Emulator) -> Iterator[DataverseClient]:
    with client_of(crm) as client:
        yield client


@pytest.fixture
def agree(crm: Emulator, client: DataverseClient) -> Callable[[QueryExpression], list[Entity]]:
    """The rows over HTTP, whose columns are those found without it."""

    def ask(query: QueryExpression) -> list[Entity]:
        remote, local = list(client.query(query)), crm.service().retrieve_multiple(query).entities
        assert [row.attributes for row in remote] == [row.attributes for row in local]
        return remote

    return ask


def where(*conditions: ConditionExpression, link: LinkEntity | None = None) -> FilterExpression:
    return FilterExpression(conditions=conditions, any_all_filter_link_entity=link)


@pytest.mark.behaviour(
    "Queries", "A client's QueryExpression with links goes over the Web API as FetchXML", "fetchxml/overview"
)
def test_linked_columns_have_their_types_over_http(agree: Callable[[QueryExpression], list[Entity]]) -> None:
    row, *_ = agree(ACCOUNTS)
    assert row["o.customerid"] == AliasedValue("salesorder", "customerid", EntityReference("account", row.id or ""))
    assert row["o.totalamount"].value == Money(Decimal("9.50"))
    assert (row["o.statecode"].value, row.formatted_values["o.statecode"]) == (OptionSetValue(0), "Active")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (replace(ACCOUNTS, link_entities=(replace(ORDERS, join_operator=JoinOperator.LEFT_OUTER),)), 4),
        (replace(ACCOUNTS, link_entities=(replace(ORDERS, entity_alias=None, columns=None),)), 3),
        (
            replace(
                ACCOUNTS,
                link_entities=(
                    LinkEntity(
                        "salesorder",
                        "accountid",
                        "customerid",
                        JoinOperator.MATCH_FIRST_ROW_USING_CROSS_APPLY,
                        ("ordernumber", "customerid"),
                    ),
                ),
            ),
            1,
        ),
        (replace(ACCOUNTS, criteria=where(ConditionExpression("ordernumber", Op.EQUAL, ("2",), "o"))), 1),
        (
            QueryExpression(
                "account",
                ("name",),
                where(link=LinkEntity("salesorder", "accountid", "customerid", JoinOperator.NOT_ANY)),
            ),
            1,
        ),
        (QueryExpression("account", ("name",), link_entities=(replace(ORDERS, columns=()),), distinct=True), 1),
        (
            QueryExpression(
                "account",
                ("name",),
                where(ConditionExpression("name", Op.EQUAL, ("name",), None, compare_columns=True)),
            ),
            2,
        ),
        (QueryExpression("account", ("name",), where(ConditionExpression("ownerid", Op.EQUAL_USER_ID))), 2),
        (QueryExpression("account", ("name",), where(ConditionExpression("createdon", Op.LAST_X_DAYS, (2,)))), 2),
        (replace(ACCOUNTS, top_count=2), 2),
    ],
    ids=["outer", "no alias", "first row", "entity name", "not any", "distinct", "columns", "caller", "now", "top"],
)
def test_every_link_finds_the_same_over_http(
    agree: Callable[[QueryExpression], list[Entity]], query: QueryExpression, count: int
) -> None:
    assert len(agree(query)) == count


def test_linked_rows_come_page_by_page(client: DataverseClient) -> None:
    query = replace(ACCOUNTS, page_info=PagingInfo(2, return_total_record_count=True))
    first = client.retrieve_multiple(query)
    assert (len(first), first.more_records, first.total_record_count) == (2, True, 3)
    assert [row["o.ordernumber"].value for row in client.query(query)] == ["1", "2", "3"]
    second = client.retrieve_multiple(replace(query, page_info=PagingInfo(2, 2)))
    assert [row["o.ordernumber"].value for row in second] == ["3"]
    assert not second.more_records


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (replace(ACCOUNTS, criteria=where(ConditionExpression("name", Op.EQUAL, (None,)))), "ConditionOperator.NULL"),
        (replace(ACCOUNTS, criteria=where(ConditionExpression("name", Op.EQUAL, (0.5,)))), "float is not exact"),
        (replace(ACCOUNTS, page_info=PagingInfo(2, 2, "page 2")), "not the paging_cookie"),
    ],
)
def test_what_has_no_form_in_fetchxml_is_not_sent(client: DataverseClient, query: QueryExpression, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        client.retrieve_multiple(query)
