"""The client and the embedded Dataverse agree on every request: what one writes, the other reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dataverse_client.batch import Create, Delete, Retrieve, Update, Upsert
from dataverse_client.client import DataverseClient
from dataverse_client.errors import (
    ConcurrencyConflictError,
    DuplicateRecordError,
    InvalidRequestError,
    NotFoundError,
    PluginRefusedError,
)
from dataverse_client.options import BypassBusinessLogic, RequestOptions
from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityReference,
    FilterExpression,
    Money,
    OptionSetValue,
    OrderExpression,
    OrganizationRequest,
    PagingInfo,
    QueryExpression,
    new_guid,
)
from runner.emulator.adapter import client_of
from runner.emulator.emulator import Emulator
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, Plugin, PluginContext

Op = ConditionOperator


class RefuseNothing(Plugin):
    """Lets no payment be called Nothing."""

    def execute(self, context: PluginContext) -> None:
        if context.target.get("new_name") == "Nothing":
            raise InvalidPluginExecutionException("A payment for nothing is no payment.")


@pytest.fixture
def crm() -> Iterator[Emulator]:
    emulator = Emulator([Step(plugin=RefuseNothing(), message="Create", entity="new_payment", stage=20)])
    yield emulator
    emulator.close()


@pytest.fixture
def client(crm: Emulator) -> Iterator[DataverseClient]:
    with client_of(crm) as client:
        yield client


@pytest.fixture
def euro(client: DataverseClient) -> EntityReference:
    [currency] = client.query(QueryExpression.of("transactioncurrency", where={"isocurrencycode": "EUR"}))
    return currency.to_entity_reference()


@pytest.fixture
def account(client: DataverseClient) -> EntityReference:
    return EntityReference("account", client.create(Entity("account", None, {"name": "O'Brien & Co"})))


@pytest.fixture
def payment(client: DataverseClient, euro: EntityReference, account: EntityReference) -> Entity:
    columns = {
        "new_name": "Invoice 7 + 8 äöü",
        "new_amount": Money(Decimal("19.90")),
        "transactioncurrencyid": euro,
        "new_customerid": account,
        "new_paymentstatus": OptionSetValue(100000001),
        "new_paidon": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "new_stripepaymentintentid": "pi_'1/2",
    }
    return Entity("new_payment", client.create(Entity("new_payment", None, columns)), columns)


def named(client: DataverseClient, operator: ConditionOperator, *values: str) -> list[str]:
    criteria = FilterExpression(conditions=(ConditionExpression("name", operator, values),))
    query = QueryExpression("account", ("name",), criteria, (OrderExpression("name"),))
    return [row["name"] for row in client.query(query)]


def test_every_value_comes_back_as_it_was_written(client, payment):
    row = client.retrieve("new_payment", payment.id)

    assert {column: row[column] for column in payment} == payment.attributes
    assert row["new_customerid"].name == "O'Brien & Co"
    assert row.formatted_values["new_paymentstatus"] == "Pending"


def test_a_row_is_found_by_an_alternate_key_full_of_punctuation(client, payment):
    row = client.retrieve_by_key("new_payment", {"new_stripepaymentintentid": "pi_'1/2"}, ["new_customerid"])

    assert row.id == payment.id
    assert row["new_customerid"] == payment["new_customerid"]


def test_columns_and_lookups_can_be_cleared(client, payment):
    client.update(Entity("new_payment", payment.id, {"new_customerid": None, "new_paidon": None}))

    row = client.retrieve("new_payment", payment.id)
    assert "new_customerid" not in row
    assert "new_paidon" not in row


def test_only_the_version_that_was_read_can_be_changed(client, payment):
    version = client.retrieve("new_payment", payment.id, ["new_name"]).row_version

    client.update(Entity("new_payment", payment.id, {"new_name": "first"}), if_match=version)
    with pytest.raises(ConcurrencyConflictError):
        client.update(Entity("new_payment", payment.id, {"new_name": "second"}), if_match=version)

    assert client.retrieve("new_payment", payment.id)["new_name"] == "first"


def test_an_update_does_not_create(client):
    with pytest.raises(NotFoundError):
        client.update(Entity("account", new_guid(), {"name": "x"}))


def test_an_upsert_creates_once(client):
    key = {"new_stripepaymentintentid": "pi_9"}

    first = client.upsert(Entity("new_payment", None, {"new_name": "a"}, key_attributes=key))
    second = client.upsert(Entity("new_payment", None, {"new_name": "b"}, key_attributes=key))

    assert (first.created, second.created) == (True, False)
    assert first.reference.id == second.reference.id
    assert client.retrieve_by_key("new_payment", key)["new_name"] == "b"


def test_an_id_can_be_used_once(client, account):
    with pytest.raises(DuplicateRecordError):
        client.create(Entity("account", account.id, {"name": "again"}))


def test_a_deleted_row_is_gone(client, account):
    client.delete("account", account.id)

    with pytest.raises(NotFoundError):
        client.retrieve("account", account.id)


def test_a_plugins_refusal_arrives_in_its_own_words(client):
    with pytest.raises(PluginRefusedError) as refusal:
        client.create(Entity("new_payment", None, {"new_name": "Nothing"}))
    assert "A payment for nothing is no payment." in refusal.value.message


def test_a_bypassed_plugin_does_not_refuse(client):
    bypassing = client.with_options(RequestOptions(bypass=frozenset(BypassBusinessLogic), tag="import"))

    assert bypassing.create(Entity("new_payment", None, {"new_name": "Nothing"}))


def test_an_unknown_table_or_column_is_refused_by_name(client, account):
    with pytest.raises(InvalidRequestError, match="new_nope"):
        client.update(Entity("account", account.id, {"new_nope": 1}))
    with pytest.raises(InvalidRequestError, match="new_table"):
        client.retrieve("new_table", account.id)


def test_a_query_sees_every_page(client):
    ids = client.create_multiple([Entity("account", None, {"name": f"a{n:02}"}) for n in range(25)])

    query = QueryExpression("account", ("name",), orders=(OrderExpression("name"),), page_info=PagingInfo(count=10))

    rows = list(client.query(query))
    assert [row.id for row in rows] == ids
    assert client.retrieve_multiple(query).more_records


@pytest.mark.parametrize(
    ("operator", "values"),
    [
        (Op.EQUAL, ("O'Brien & Co",)),
        (Op.LIKE, ("%'Brien &%",)),
        (Op.BEGINS_WITH, ("O'",)),
        (Op.IN, ("O'Brien & Co", 'a "quoted" one', "a+b=100%#")),
        (Op.NOT_IN, ("Contoso",)),
    ],
)
def test_conditions_mean_the_same_on_both_sides(client, account, operator, values):
    client.create(Entity("account", None, {"name": "Contoso"}))

    assert named(client, operator, *values) == ["O'Brien & Co"]


def test_a_page_tells_how_many_rows_there_are_in_all(client):
    for name in "ABC":
        client.create(Entity("account", attributes={"name": name}))
    counted = PagingInfo(count=2, return_total_record_count=True)
    for paging, total in ((counted, 3), (PagingInfo(count=2), -1)):
        page = client.retrieve_multiple(QueryExpression("account", ("name",), page_info=paging))
        assert (len(page), page.total_record_count) == (2, total)


def test_lookups_are_queried_by_the_row_they_point_at(client, payment, account):
    for operator in (Op.EQUAL, Op.IN):
        criteria = FilterExpression(conditions=(ConditionExpression("new_customerid", operator, (account,)),))
        assert [row.id for row in client.query(QueryExpression("new_payment", (), criteria))] == [payment.id]


def test_a_query_too_long_for_a_url_is_answered_all_the_same(client, account):
    assert named(client, Op.IN, "O'Brien & Co", *(f"nobody {n:06}" for n in range(2000))) == ["O'Brien & Co"]


def test_a_batch_gives_each_operation_its_own_result(client, account):
    results = client.batch(
        [
            Create(Entity("account", None, {"name": "new"})),
            Update(Entity("account", account.id, {"name": "x"}), if_match='W/"1"'),
            Update(Entity("account", account.id, {"name": "Renamed"})),
            Upsert(Entity("account", new_guid(), {"name": "upserted"})),
            Delete("account", new_guid()),
            Create(Entity("new_payment", None, {"new_name": "Nothing"})),
            Retrieve(account, ("name", "createdby")),
        ]
    )

    assert [type(result.error) for result in results] == [
        type(None),
        ConcurrencyConflictError,
        type(None),
        type(None),
        NotFoundError,
        PluginRefusedError,
        type(None),
    ]
    assert client.retrieve("account", results[0].id)["name"] == "new"
    assert results[3].created
    assert results[6].entity["name"] == "Renamed"
    assert results[6].entity["createdby"].logical_name == "systemuser"


def test_a_change_set_is_all_or_nothing(client, account):
    failed = client.batch(
        [Create(Entity("account", None, {"name": "never"})), Delete("account", new_guid())], atomic=True
    )
    done = client.batch([Create(Entity("account", None, {"name": "both"})), Delete("account", account.id)], atomic=True)

    assert [type(result.error) for result in failed] == [NotFoundError] * 2
    assert all(result.succeeded for result in done)
    assert named(client, Op.NOT_NULL) == ["both"]


def test_both_sides_know_who_is_asking(client, crm):
    assert client.who_am_i().user_id == crm.administrator_id
    assert client.execute(OrganizationRequest("WhoAmI")).results["UserId"] == crm.administrator_id
