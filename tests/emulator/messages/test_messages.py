"""What the organization service understands: messages, their parameters and results, and the tables they are for."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    Entity,
    EntityReference,
    FetchExpression,
    OptionSetValue,
    OrganizationRequest,
    QueryExpression,
    new_guid,
)
from runner.emulator.errors import (
    InvalidArgument,
    MethodNotSupported,
    NotSupported,
)
from runner.emulator.seed import INTEGRATION_USER_ID

NOBODYS = EntityReference("transactioncurrency", new_guid())


STATELESS = EntityReference("systemuser", INTEGRATION_USER_ID)


@pytest.mark.behaviour("Messages", "WhoAmI answers user, business unit and organization", "org-service/use-messages")
def test_who_am_i_answers_user_business_unit_and_organization(crm, send):
    assert send("WhoAmI") == {
        "UserId": crm.administrator_id,
        "BusinessUnitId": crm.organization.business_unit_id,
        "OrganizationId": crm.organization.organization_id,
    }


def test_an_unknown_message_is_refused(send):
    with pytest.raises(NotSupported, match="'Frobnicate'"):
        send("Frobnicate")


def test_messages_are_understood_whatever_their_case(send):
    assert send("create", Target=account())["id"]


@pytest.mark.behaviour("Messages", "Create keeps the id the caller chose and answers it as `id`", "observed")
def test_create_answers_the_id_it_was_given(service):
    id = "33333333-3333-3333-3333-333333333333"
    assert service.create(account(id=id)) == id


def test_a_query_expression_is_answered(service, send):
    service.create(account())
    rows = send("RetrieveMultiple", Query=QueryExpression.of("account", "name"))["BusinessEntityCollection"]
    assert [row["name"] for row in rows] == ["Contoso"]


def test_one_column_may_be_named_without_a_list(service):
    id = service.create(account())
    assert service.retrieve("account", id, "name")["name"] == "Contoso"


@pytest.mark.behaviour(
    "Messages",
    "Retrieve answers Entity, RetrieveMultiple EntityCollection: steps know them with Business before the name",
    "understand-the-data-context",
)
def test_a_response_has_its_names(service, send, on):
    seen = []
    for message in ("Retrieve", "RetrieveMultiple"):
        on(message, 40)(lambda context: seen.append(set(context.output_parameters)))
    id = service.create(account())
    row = send("Retrieve", Target=EntityReference("account", id), ColumnSet=("name",))["Entity"]
    (found,) = send("RetrieveMultiple", Query=QueryExpression.of("account", "name"))["EntityCollection"]
    assert (row["name"], found["name"]) == ("Contoso", "Contoso")
    assert seen == [{"BusinessEntity"}, {"BusinessEntityCollection"}]


@pytest.mark.parametrize("spelled", [str.upper, "{{{}}}".format], ids=["upper case", "braces"])
def test_a_user_may_be_spelled_in_any_way(crm, spelled):
    who = crm.execute(OrganizationRequest("WhoAmI"), user_id=spelled(INTEGRATION_USER_ID))
    assert who.results["UserId"] == INTEGRATION_USER_ID


# --- parameters -----------------------------------------------------------------------------------------------


def test_a_missing_parameter_is_named(send):
    with pytest.raises(InvalidArgument, match="'Target' is missing; it takes Entity"):
        send("Create")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select name from account", "'Query' is str; it takes a QueryExpression or FetchExpression"),
        (FetchExpression(None), "a FetchExpression holds FetchXML, not None"),
    ],
    ids=["text", "no text"],
)
def test_what_is_no_query_is_refused(send, query, said):
    with pytest.raises(InvalidArgument, match=said):
        send("RetrieveMultiple", Query=query)


@pytest.mark.parametrize("columns", [True, 5, [None], {"name": 1}], ids=["true", "a number", "nothing", "a mapping"])
def test_a_column_set_holds_names(service, send, columns):
    target = EntityReference("account", service.create(account()))
    with pytest.raises(InvalidArgument, match="'ColumnSet' takes the names of columns"):
        send("Retrieve", Target=target, ColumnSet=columns)


@pytest.mark.parametrize("related", [None, EntityReference("account"), [account()]], ids=["nothing", "one", "a row"])
def test_related_entities_are_several_references(service, send, related):
    target = EntityReference("account", service.create(account()))
    with pytest.raises(InvalidArgument, match="'RelatedEntities'"):
        send("Associate", Target=target, Relationship="account_parent_account", RelatedEntities=related)


def test_a_boolean_is_refused_as_a_state(service, send):
    moniker = EntityReference("account", service.create(account()))
    with pytest.raises(InvalidArgument, match="'State' is bool"):
        send("SetState", EntityMoniker=moniker, State=True, Status=OptionSetValue(2))


# --- tables that do not take every message --------------------------------------------------------------------


@pytest.mark.behaviour(
    "Messages",
    "Tables only the platform writes refuse Create and Update with 0x80040800",
    "reference/entities/plugintracelog",
)
@pytest.mark.parametrize("table", ["plugintracelog", "sdkmessage", "sdkmessagefilter"])
def test_what_only_the_platform_writes(service, table):
    for write in (service.create, service.update):
        with pytest.raises(MethodNotSupported, match=table):
            write(Entity(table, new_guid(), {}))


@pytest.mark.parametrize("table", ["sdkmessage", "sdkmessagefilter"])
def test_sdk_messages_and_their_filters_cannot_be_deleted(service, table):
    row = service.retrieve_multiple(QueryExpression.of(table))[0]
    with pytest.raises(MethodNotSupported):
        service.delete(table, row.id)


@pytest.mark.parametrize("message", ["Create", "Delete"])
def test_an_organization_cannot_be_created_or_deleted(service, send, message):
    (organization,) = service.retrieve_multiple(QueryExpression.of("organization"))
    target = Entity("organization") if message == "Create" else organization.to_entity_reference()
    with pytest.raises(MethodNotSupported):
        send(message, Target=target)


@pytest.mark.behaviour(
    "Messages",
    "Rows of intersect tables come and go by Associate and Disassociate: Create, Update and Delete answer 0x80040800",
    "common",
)
def test_links_are_not_rows_to_write(service):
    for write in (service.create, service.update):
        with pytest.raises(MethodNotSupported, match="teammembership"):
            write(Entity("teammembership", new_guid(), {}))
    with pytest.raises(MethodNotSupported, match="'Delete'.*'teammembership'"):  # noqa: RUF043
        service.delete("teammembership", new_guid())


@pytest.mark.behaviour(
    "Messages", "Assign of a table without owners, SetState of one without states are refused with 0x80040800", "common"
)
@pytest.mark.parametrize(
    ("message", "parameters"),
    [
        ("Assign", {"Target": NOBODYS, "Assignee": EntityReference("systemuser", INTEGRATION_USER_ID)}),
        ("SetState", {"EntityMoniker": STATELESS, "State": OptionSetValue(1), "Status": OptionSetValue(2)}),
        (
            "SetStateDynamicEntity",
            {"EntityMoniker": STATELESS, "State": OptionSetValue(1), "Status": OptionSetValue(2)},
        ),
    ],
    ids=["Assign", "SetState", "SetStateDynamicEntity"],
)
def test_a_message_is_for_tables_that_have_what_it_changes(send, message, parameters):
    with pytest.raises(MethodNotSupported, match=f"The '{message}' method does not support entities of type"):
        send(message, **parameters)
