"""Values on the wire of a notification, and back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataverse_client import exact_json
from dataverse_client.types import (
    AliasedValue,
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityCollection,
    EntityReference,
    FetchExpression,
    FilterExpression,
    JoinOperator,
    LinkEntity,
    LogicalOperator,
    Money,
    OptionSetValue,
    OrderExpression,
    QueryExpression,
)
from runner.remote_context.context import RemoteContext
from runner.remote_context.decoding import decode_value
from runner.remote_context.encoding import encode_value
from runner.remote_context.errors import InvalidRemoteContextError, UnknownValueTypeError
from runner.remote_context.moments import decode_moment, encode_moment

CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
ROW = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"

guids = st.uuids().map(str)
names = st.from_regex(r"[a-z]{2,8}_[a-z]{1,8}", fullmatch=True)
texts = st.text().filter(lambda text: not text.startswith("/Date("))
moments = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
amounts = st.decimals(min_value=-(10**15), max_value=10**15, places=4)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | moments | amounts
references = st.builds(EntityReference, names, guids, st.none() | texts)
choices = st.builds(OptionSetValue, st.integers(-(2**31), 2**31 - 1))
column_values = (
    scalars
    | choices
    | references
    | st.builds(Money, amounts)
    | st.lists(choices, min_size=1).map(tuple)
    | st.builds(AliasedValue, names, names, scalars)
)
rows = st.builds(Entity, names, guids, st.dictionaries(names, column_values, max_size=5))
values = (
    column_values
    | rows
    | st.builds(EntityCollection, st.lists(rows, max_size=3), names)
    | st.lists(references, max_size=3)
    | st.dictionaries(names, column_values | rows, max_size=3)
)


@given(values)
def test_every_value_survives_the_way_there_and_back(value):
    parameters = [{"key": "Value", "value": encode_value(value)}]
    body = exact_json.dumps({"MessageName": "new_Tell", "InputParameters": parameters})
    assert RemoteContext.decode(body).context.input_parameters == {"Value": value}


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (Money(Decimal("2154.3200")), {"__type": f"Money:{CONTRACTS}", "Value": Decimal("2154.3200")}),
        (OptionSetValue(3), {"__type": f"OptionSetValue:{CONTRACTS}", "Value": 3}),
        ((OptionSetValue(1),), [{"__type": f"OptionSetValue:{CONTRACTS}", "Value": 1}]),
        (datetime(2023, 10, 17, 7, tzinfo=UTC), "/Date(1697526000000)/"),
        (date(2023, 10, 17), "/Date(1697500800000)/"),
        (b"\x00\xff", "AP8="),
        (["ABC", "DEF"], ["ABC", "DEF"]),
        (0.1, Decimal("0.1")),
        (UUID(ROW), ROW),
    ],
    ids=["money", "choice", "choices", "moment", "day", "bytes", "texts", "double", "id"],
)
def test_values_are_written_as_dataverse_writes_them(value, wire):
    assert encode_value(value) == wire


def test_the_type_is_the_first_member_of_its_object():
    written = encode_value(Entity("new_payment", ROW, {"new_order": EntityReference("salesorder", ROW)}))
    assert next(iter(written)) == "__type"
    assert next(iter(written["Attributes"][0]["value"])) == "__type"


def test_rows_of_a_collection_have_no_type_of_their_own():
    written = encode_value(EntityCollection([Entity("account", ROW)], "account"))
    assert written["__type"] == f"EntityCollection:{CONTRACTS}"
    assert "__type" not in written["Entities"][0]


def test_the_scale_of_a_decimal_is_kept():
    assert str(decode_value(Decimal("1.0000000000"))) == "1.0000000000"


def test_an_object_of_an_unknown_type_stays_as_it_came():
    pair = {"__type": "KeyValuePairOfstringstring:#System.Collections.Generic", "key": "account", "value": "Update"}
    assert encode_value(decode_value([pair])) == [pair]


def test_an_offset_behind_a_columns_milliseconds_counts_for_nothing():
    assert decode_moment("/Date(1724647396000+0300)/") == datetime(2024, 8, 26, 4, 43, 16, tzinfo=UTC)


def test_an_offset_is_added_to_a_moment_that_was_shifted_by_it():
    shifted = decode_moment("/Date(1724647396000-0700)/", shifted=True)
    assert shifted == datetime(2024, 8, 26, 4, 43, 16, tzinfo=UTC) - timedelta(hours=7)


def test_a_moment_with_an_offset_is_written_as_it_was_spelled():
    assert encode_moment(decode_moment("/Date(1724647396000+0300)/")) == "/Date(1724647396000+0300)/"


def test_the_first_moment_of_dotnet_is_understood():
    assert decode_moment("/Date(-62135596800000)/") == datetime.min.replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["/Date(999999999999999999)/", "/Date()/", "/Date(12)", "/Date(1e5)/"])
def test_a_text_that_is_no_moment_stays_text(text):
    assert decode_value(text) == text


@pytest.mark.parametrize(
    "wire",
    [
        {"__type": f"Entity:{CONTRACTS}"},
        {"__type": f"Entity:{CONTRACTS}", "LogicalName": "account", "Attributes": {"name": 1}},
        {"__type": f"Entity:{CONTRACTS}", "LogicalName": "account", "Attributes": [{"key": 1, "value": 1}]},
        {"__type": f"Entity:{CONTRACTS}", "LogicalName": "account", "Id": "not an id"},
        {"__type": f"EntityCollection:{CONTRACTS}", "Entities": [7]},
        {"__type": f"Money:{CONTRACTS}", "Value": "ten"},
        {"__type": f"OptionSetValue:{CONTRACTS}", "Value": True},
        {"__type": f"EntityReference:{CONTRACTS}", "Id": ROW},
    ],
)
def test_an_object_that_is_not_what_its_type_says_is_refused(wire):
    with pytest.raises(InvalidRemoteContextError, match="Target"):
        decode_value(wire, "Target")


def test_a_query_is_told_and_read_back_as_plain_json():
    condition = ConditionExpression("new_amount", ConditionOperator.GREATER_EQUAL, (Money(Decimal("1.50")),))
    filtered = FilterExpression(LogicalOperator.OR, (condition,))
    written = encode_value(QueryExpression("new_payment", ("new_name",), filtered, top_count=5))
    assert decode_value(written) == written
    assert written["Criteria"]["FilterOperator"] == 1
    (told,) = written["Criteria"]["Conditions"]
    assert (told["Operator"], told["Values"]) == (4, [encode_value(Money(Decimal("1.50")))])


@pytest.mark.parametrize(
    ("operator", "number"),
    [
        (ConditionOperator.NEXT_X_YEARS, 40),
        (ConditionOperator.NOT_EQUAL_BUSINESS_ID, 44),
        (ConditionOperator.EQUAL_USER_LANGUAGE, 51),
        (ConditionOperator.OLDER_THAN_X_MONTHS, 53),
        (ConditionOperator.BEGINS_WITH, 54),
        (ConditionOperator.DOES_NOT_CONTAIN_VALUES, 88),
    ],
)
def test_an_operator_is_told_as_its_number(operator, number):
    asked = QueryExpression("account", criteria=FilterExpression(conditions=(ConditionExpression("name", operator),)))
    assert encode_value(asked)["Criteria"]["Conditions"][0]["Operator"] == number


def test_the_links_of_a_query_are_told():
    named = FilterExpression(conditions=(ConditionExpression("name", ConditionOperator.NULL, entity_name="p"),))
    any_line = LinkEntity("salesorderdetail", "salesorderid", "salesorderid", JoinOperator.ANY)
    inner = LinkEntity("account", "customerid", "accountid", link_criteria=named)
    order = LinkEntity(
        "salesorder", "new_order", "salesorderid", JoinOperator.LEFT_OUTER, None, "p", link_entities=(inner,)
    )
    asked = QueryExpression(
        "new_payment",
        criteria=FilterExpression(any_all_filter_link_entity=any_line),
        orders=(OrderExpression("name", entity_name="p"),),
        link_entities=(order,),
        distinct=True,
    )
    written = encode_value(asked)
    (link,) = written["LinkEntities"]
    (nested,) = link["LinkEntities"]
    assert (written["Distinct"], written["Orders"][0]["EntityName"]) == (True, "p")
    assert (link["JoinOperator"], link["EntityAlias"], link["Columns"]["AllColumns"]) == (1, "p", True)
    assert (link["LinkFromEntityName"], link["LinkFromAttributeName"]) == ("new_payment", "new_order")
    assert (link["LinkToEntityName"], link["LinkToAttributeName"]) == ("salesorder", "salesorderid")
    assert (nested["LinkFromEntityName"], nested["JoinOperator"], nested["EntityAlias"]) == ("salesorder", 0, None)
    assert nested["LinkCriteria"]["Conditions"][0]["EntityName"] == "p"
    assert written["Criteria"]["AnyAllFilterLinkEntity"]["JoinOperator"] == 6
    assert decode_value(written) == written


def test_a_question_in_fetchxml_is_told():
    assert encode_value(FetchExpression("<fetch/>")) == {"__type": f"FetchExpression:{CONTRACTS}", "Query": "<fetch/>"}


@pytest.mark.parametrize("value", [object(), float("nan"), float("inf")])
def test_a_value_of_no_type_of_dataverse_cannot_be_written(value):
    with pytest.raises(UnknownValueTypeError, match="has no form"):
        encode_value(value)


def test_a_query_says_how_many_rows_it_wants_at_most_where_it_does():
    assert "TopCount" not in encode_value(QueryExpression("account"))
    assert encode_value(QueryExpression("account", top_count=5))["TopCount"] == 5
