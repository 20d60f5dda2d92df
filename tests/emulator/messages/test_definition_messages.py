"""Definitions of tables, columns, choices, keys and relationships, by message."""

from __future__ import annotations

import pytest

from runner.emulator.errors import AttributeNotFound, EntityNotFound, InvalidArgument, ObjectDoesNotExist


@pytest.fixture
def table(send):
    """``table("Attributes")``: account's definition, with that part."""

    def retrieve(filters):
        return send("RetrieveEntity", LogicalName="account", EntityFilters=filters)["EntityMetadata"]

    return retrieve


@pytest.mark.behaviour(
    "Messages",
    "RetrieveEntity tells a table's names, by LogicalName or by MetadataId",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.messages.retrieveentityrequest",
)
def test_a_table(send):
    account = send("RetrieveEntity", LogicalName="account")["EntityMetadata"]
    assert (account["PrimaryIdAttribute"], account["EntitySetName"]) == ("accountid", "accounts")
    assert send("RetrieveEntity", MetadataId=account["MetadataId"])["EntityMetadata"] == account


@pytest.mark.behaviour(
    "Messages",
    "EntityFilters say which parts of a table's definition are retrieved",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.metadata.entityfilters",
)
@pytest.mark.parametrize(
    ("filters", "parts"),
    [
        (1, {"Keys"}),
        ("Attributes", {"Attributes"}),
        ("Entity, Attributes", {"Keys", "Attributes"}),
        (8, {"OneToManyRelationships", "ManyToOneRelationships", "ManyToManyRelationships"}),
    ],
)
def test_the_parts_of_a_table(table, filters, parts):
    every = {"Keys", "Attributes", "OneToManyRelationships", "ManyToOneRelationships", "ManyToManyRelationships"}
    assert every & table(filters).keys() == parts
    assert every <= table("All").keys()


def test_the_columns_of_a_table_have_their_options(table):
    state = next(each for each in table("Attributes")["Attributes"] if each["LogicalName"] == "statecode")
    labels = [option["Label"]["UserLocalizedLabel"]["Label"] for option in state["OptionSet"]["Options"]]
    assert labels == ["Active", "Inactive"]


def test_filters_that_there_are_not_are_refused(table):
    with pytest.raises(InvalidArgument, match=r"'EntityFilters' takes some of .*, not 'Atributes'"):
        table("Atributes")
    with pytest.raises(InvalidArgument, match="not 99"):
        table(99)


@pytest.mark.behaviour(
    "Messages",
    "RetrieveAllEntities tells every table",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.messages.retrieveallentitiesrequest",
)
def test_every_table(send, crm):
    tables = send("RetrieveAllEntities", EntityFilters="Entity")["EntityMetadata"]
    assert {table["LogicalName"] for table in tables} == crm.metadata.tables.keys()


@pytest.mark.behaviour(
    "Messages",
    "RetrieveAttribute tells a column's definition, with its options",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.messages.retrieveattributerequest",
)
def test_a_column(send):
    name = send("RetrieveAttribute", EntityLogicalName="account", LogicalName="name")["AttributeMetadata"]
    assert (name["AttributeType"], name["MaxLength"]) == ("String", 160)
    state = send("RetrieveAttribute", EntityLogicalName="account", LogicalName="statecode")["AttributeMetadata"]
    assert [option["Value"] for option in state["OptionSet"]["Options"]] == [0, 1]


def test_a_new_column_is_told_at_once(send, crm):
    with crm.customizing() as customizations:
        customizations.create_column("account", "new_rank", {"type": "Integer"})
    rank = send("RetrieveAttribute", EntityLogicalName="account", LogicalName="new_rank")["AttributeMetadata"]
    assert rank["IsCustomAttribute"]


@pytest.mark.behaviour(
    "Messages",
    "RetrieveRelationship tells a relationship of either kind, by its schema name",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.messages.retrieverelationshiprequest",
)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("account_parent_account", "OneToManyRelationship"),
        ("teammembership_association", "ManyToManyRelationship"),
    ],
)
def test_a_relationship(send, name, kind):
    assert send("RetrieveRelationship", Name=name)["RelationshipMetadata"]["RelationshipType"] == kind


@pytest.mark.behaviour(
    "Messages",
    "RetrieveOptionSet tells a global choice, RetrieveAllOptionSets each of them",
    "https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.messages.retrieveoptionsetrequest",
)
def test_a_global_choice(send, crm):
    with crm.customizing() as customizations:
        customizations.create_option_set("new_size", {"display_name": "Size", "options": {1: "Small", 2: "Large"}})
    size = send("RetrieveOptionSet", Name="new_size")["OptionSetMetadata"]
    assert [option["Value"] for option in size["Options"]] == [1, 2]
    assert size in send("RetrieveAllOptionSets")["OptionSetMetadata"]


def test_an_alternate_key(send, crm):
    (key,) = crm.metadata.tables["new_payment"].keys[:1]
    told = send("RetrieveEntityKey", EntityLogicalName="new_payment", LogicalName=key.logical_name)
    assert told["EntityKeyMetadata"]["KeyAttributes"] == list(key.columns)


@pytest.mark.parametrize(
    ("message", "parameters", "refusal"),
    [
        ("RetrieveEntity", {"LogicalName": "acount"}, EntityNotFound),
        ("RetrieveEntity", {"MetadataId": "00000000-0000-0000-0000-00000000dead"}, ObjectDoesNotExist),
        ("RetrieveEntity", {}, InvalidArgument),
        ("RetrieveAttribute", {"EntityLogicalName": "account", "LogicalName": "nme"}, AttributeNotFound),
        ("RetrieveRelationship", {"Name": "account_nobody"}, ObjectDoesNotExist),
        ("RetrieveOptionSet", {"Name": "new_nothing"}, ObjectDoesNotExist),
    ],
)
def test_what_there_is_not_is_refused(send, message, parameters, refusal):
    with pytest.raises(refusal):
        send(message, **parameters)
