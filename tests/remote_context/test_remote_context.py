"""The notification Dataverse sends, decoded and encoded: captured ones, and our own."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataverse_client.types import Entity, EntityCollection, EntityReference, Money, OptionSetValue
from runner.plugin import (
    INERT_HOST,
    Caller,
    InvalidPluginExecutionException,
    MessageOperation,
    Organization,
    PluginContext,
)
from runner.remote_context.context import TRIMMED_KEYS, RemoteContext
from runner.remote_context.errors import (
    InvalidRemoteContextError,
    RemoteContextError,
    UnsupportedMessageFormatError,
)

CAPTURES = sorted((Path(__file__).parents[3] / "shared/data/remote-execution-context").glob("*.json"))
ROW, USER, STEP = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "123")

captured = pytest.mark.parametrize(
    "payload",
    [pytest.param(path, id=path.stem) for path in CAPTURES]
    or [pytest.param(None, marks=pytest.mark.skip("no captured notifications here"))],
)


def tree(body):
    return json.loads(body, parse_float=Decimal)


def operation(**more):
    facts = {
        "organization": Organization(organization_id=ROW, organization_name="embedded"),
        "caller": Caller(initiating_user_id=USER, initiating_user_agent="curl"),
        "message_name": "Create",
        "primary_entity_name": "new_payment",
        "primary_entity_id": ROW,
        "input_parameters": {"Target": Entity("new_payment", ROW, {"new_amount": Money(Decimal("10.00"))})},
        "operation_created_on": datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC),
        "operation_id": STEP,
    }
    return MessageOperation(**{**facts, **more})


def a_context(told=None, **more):
    facts = {
        "stage": 40,
        "mode": 0,
        "owning_extension": EntityReference("sdkmessageprocessingstep", STEP, "a hook: Create of new_payment"),
        "user_id": USER,
        "is_in_transaction": True,
        "shared_variables": {"tag": "import"},
    }
    return PluginContext(told or operation(), INERT_HOST, **{**facts, **more})


# --- captured notifications -----------------------------------------------------------------------------------


@captured
def test_a_captured_notification_is_written_as_it_was_read(payload):
    body = payload.read_bytes()
    assert tree(RemoteContext.decode(body).encode()) == tree(body)


@captured
def test_a_captured_notification_can_be_told_again_from_its_context_alone(payload):
    """Everything of it is in the context: nothing but members that older versions lack is added."""
    original = tree(payload.read_bytes())
    told = tree(RemoteContext.of(RemoteContext.decode(payload.read_bytes()).context).encode())
    assert _of_the_same_version(told, original) == _known(original)


def _of_the_same_version(told, original):
    parent = original["ParentContext"] and _of_the_same_version(told["ParentContext"], original["ParentContext"])
    return {key: value for key, value in told.items() if key in original} | {"ParentContext": parent}


def _known(original):
    return {key: value for key, value in original.items() if key != "Unknown"}


@captured
def test_a_captured_notification_is_not_taken_for_a_trimmed_one(payload):
    assert not RemoteContext.decode(payload.read_bytes()).is_trimmed


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_notification_is_refused_or_read_but_breaks_nothing(data):
    body = bytearray(RemoteContext.of(a_context()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RemoteContextError):
        assert RemoteContext.decode(bytes(body)).context.message_name


# --- reading --------------------------------------------------------------------------------------------------


def sample(**members):
    return json.dumps({"MessageName": "Update", "PrimaryEntityName": "account", "PrimaryEntityId": ROW} | members)


def decoded(**members):
    return RemoteContext.decode(sample(**members).encode())


def test_missing_members_get_neutral_values():
    context = RemoteContext.decode(b'{"MessageName": "WhoAmI"}').context
    assert (context.primary_entity_name, context.depth, context.stage, context.request_id) == ("none", 1, 40, None)
    assert context.input_parameters == {}
    assert context.parent_context is None


def test_unknown_members_are_kept():
    remote = decoded(Novelty={"a": [1, "/"]})
    assert tree(remote.encode())["Novelty"] == {"a": [1, "/"]}


def test_a_lookup_a_choice_and_an_amount_reach_the_plug_in_as_what_they_are():
    target = Entity("new_payment", ROW, {"new_amount": Money(Decimal("10.00")), "statecode": OptionSetValue(0)})
    target["new_salesorderid"] = EntityReference("salesorder", ROW)
    body = RemoteContext.of(a_context(operation(input_parameters={"Target": target}))).encode()
    assert RemoteContext.decode(body).context.target == target


def test_every_run_is_given_collections_of_its_own():
    remote = RemoteContext.decode(RemoteContext.of(a_context()).encode())
    remote.context_for(INERT_HOST).target["new_name"] = "changed"
    assert "new_name" not in remote.context_for(INERT_HOST).target


def test_a_context_that_was_only_read_does_nothing():
    with pytest.raises(InvalidPluginExecutionException):
        decoded().context.trace("Hello")


def test_the_time_of_an_asynchronous_operation_counts_in_its_own_zone():
    context = decoded(OperationCreatedOn="/Date(1724647396000+0300)/").context
    assert context.operation_created_on == datetime(2024, 8, 26, 7, 43, 16, tzinfo=UTC)


def test_a_byte_order_mark_is_no_harm():
    assert RemoteContext.decode(b"\xef\xbb\xbf" + sample().encode()).context.message_name == "Update"


@pytest.mark.parametrize(
    "members",
    [
        dict.fromkeys(TRIMMED_KEYS),
        {"InputParameters": [], "PreEntityImages": [], "PostEntityImages": [], "ParentContext": None},
        {},
    ],
    ids=["null", "empty", "absent"],
)
def test_a_trimmed_notification_is_recognised_however_it_was_trimmed(members):
    assert decoded(**members).is_trimmed


def test_what_the_header_says_of_trimming_counts():
    body = RemoteContext.of(a_context()).encode()
    assert RemoteContext.decode(body, size_exceeded=True).is_trimmed


def test_a_message_without_parameters_about_no_table_is_not_trimmed():
    assert not RemoteContext.decode(b'{"MessageName": "WhoAmI", "InputParameters": []}').is_trimmed


@pytest.mark.parametrize(
    "body", [b"<RemoteExecutionContext/>", b"\xef\xbb\xbf<a/>", b"@\x16RemoteExecutionContext\x08"]
)
def test_formats_of_dotnet_are_refused_with_what_to_do(body):
    with pytest.raises(UnsupportedMessageFormatError, match=r"messageformat .* 2 \(JSON\)"):
        RemoteContext.decode(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"MessageName": 7}',
        b'{"MessageName": "Create", "Depth": NaN}',
        b'{"MessageName": "Create", "X": 1e999999999}',
        b'{"MessageName": "Create", "X": "\\ud800"}',
        b'{"MessageName": "Create", "X": ' + b"[" * 100_000,
        b'{"MessageName": "Create", "ParentContext": ' * 3000 + b"null" + b"}" * 3000,
        sample(Depth="one").encode(),
        sample(Depth=True).encode(),
        sample(OperationId="not an id").encode(),
        sample(InputParameters="none").encode(),
        sample(OperationCreatedOn="yesterday").encode(),
        sample(ParentContext=7).encode(),
        sample(PreEntityImages=[{"key": "before", "value": 7}]).encode(),
    ],
)
def test_what_is_no_notification_is_refused(body):
    with pytest.raises(InvalidRemoteContextError):
        RemoteContext.decode(body)


def test_a_refusal_says_where_the_document_is_wrong():
    with pytest.raises(InvalidRemoteContextError, match=r"ParentContext\.Depth is not a whole number"):
        decoded(ParentContext={"Depth": "one"})


# --- writing --------------------------------------------------------------------------------------------------


def test_members_are_in_the_order_of_dotnets_serializer():
    keys = list(RemoteContext.of(a_context()).document)
    assert keys == sorted(keys)
    assert len(keys) == 30


def test_slashes_are_escaped_as_on_the_wire():
    body = RemoteContext.of(a_context()).encode()
    assert b'"__type":"Entity:http:\\/\\/schemas.microsoft.com\\/xrm\\/2011\\/Contracts"' in body


def test_amounts_are_written_with_every_digit():
    assert b'"Value":10.00}' in RemoteContext.of(a_context()).encode()


def test_a_notification_tells_of_the_operation_that_caused_it():
    parent = a_context(stage=30, owning_extension=EntityReference("sdkmessageprocessingstep", ROW, "ObjectModel"))
    body = RemoteContext.of(a_context(parent_context=parent), isolation_mode=1).encode()
    told = RemoteContext.decode(body).context
    assert told.parent_context.stage == 30
    assert told.parent_context.owning_extension.name == "ObjectModel"
    assert (told.isolation_mode, told.parent_context.isolation_mode) == (1, 1)


def test_an_asynchronous_operation_was_created_at_a_whole_second_in_some_zone():
    document = RemoteContext.of(a_context(mode=1)).document
    assert document["OperationCreatedOn"] == "/Date(1769860800000+0000)/"


def test_a_trimmed_notification_still_says_which_row():
    trimmed = RemoteContext.of(a_context()).trimmed()
    read = RemoteContext.decode(trimmed.encode())
    assert read.is_trimmed
    assert (read.context.primary_entity_id, read.context.input_parameters) == (ROW, {})


def test_the_relationship_of_an_association_is_an_object_on_the_wire():
    parameters = {"Relationship": "new_a_b", "RelatedEntities": (EntityReference("account", ROW),)}
    told = operation(message_name="Associate", input_parameters=parameters)
    remote = RemoteContext.of(a_context(told))
    assert remote.document["InputParameters"][0]["value"]["SchemaName"] == "new_a_b"
    read = RemoteContext.decode(remote.encode()).context.input_parameters
    assert read == {"Relationship": "new_a_b", "RelatedEntities": [EntityReference("account", ROW)]}


COMPUTED = {
    "__type": "ColumnSet:http://schemas.microsoft.com/xrm/2011/Contracts",
    "AllColumns": False,
    "AttributeExpressions": [{"AttributeName": "revenue"}],
    "Columns": [],
}


@pytest.mark.parametrize("columns", [None, (), ("name", "revenue"), COMPUTED])
def test_the_columns_of_a_retrieval_are_told_and_told_again(columns):
    told = RemoteContext.of(a_context(operation(message_name="Retrieve", input_parameters={"ColumnSet": columns})))
    read = RemoteContext.decode(told.encode()).context
    assert read.input_parameters == {"ColumnSet": columns}
    assert RemoteContext.of(read).encode() == told.encode()


def test_rows_related_to_target_travel_with_it():
    target = Entity("account", ROW)
    target.related_entities["contact_customer_accounts"] = EntityCollection([Entity("contact", USER)], "contact")
    told = a_context(operation(input_parameters={"Target": target}))
    read = RemoteContext.decode(RemoteContext.of(told).encode()).context.target
    assert read.related_entities["contact_customer_accounts"].entities == [Entity("contact", USER)]
