"""RelatedEntitiesQuery: a Retrieve that brings the related rows along."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    Entity,
    EntityReference,
    FetchExpression,
    QueryExpression,
)
from runner.emulator.errors import AttributeNotFound, InvalidArgument
from runner.emulator.seed import INTEGRATION_USER_ID

DAUGHTERS = "account_parent_account"
CONTACT = "account_primary_contact"
MEMBERS = "teammembership_association"


@pytest.fixture
def parent(service):
    """Contoso, which has the daughters North and South, beside Fabrikam, which has West."""
    contact = service.create(Entity("contact", None, {"lastname": "Nancy"}))
    contoso = service.create(account(primarycontactid=EntityReference("contact", contact)))
    fabrikam = service.create(account("Fabrikam"))
    for name, mother in (("North", contoso), ("South", contoso), ("West", fabrikam)):
        service.create(account(name, parentaccountid=EntityReference("account", mother)))
    return EntityReference("account", contoso)


@pytest.fixture
def related(send):
    """The rows of one relationship that a Retrieve brings."""

    def ask(target, relationship, query):
        row = send("Retrieve", Target=target, ColumnSet=(), RelatedEntitiesQuery={relationship: query})
        return row["BusinessEntity"].related_entities[relationship]

    return ask


@pytest.mark.behaviour(
    "Messages",
    "Retrieve with RelatedEntitiesQuery answers the related rows that each query asks for",
    "org-service/entity-operations-retrieve",
)
def test_several_relationships_are_answered_at_once(send, parent):
    queries = {DAUGHTERS: QueryExpression.of("account", "name"), CONTACT: QueryExpression.of("contact", "lastname")}
    row = send("Retrieve", Target=parent, ColumnSet=("name",), RelatedEntitiesQuery=queries)["BusinessEntity"]
    assert row["name"] == "Contoso"
    assert [each["name"] for each in row.related_entities[DAUGHTERS]] == ["North", "South"]
    assert [each["lastname"] for each in row.related_entities[CONTACT]] == ["Nancy"]


@pytest.mark.parametrize(
    "query",
    [
        QueryExpression.of("account", "name", where={"name": "South"}),
        FetchExpression(
            "<fetch><entity name='account'><attribute name='name'/>"
            "<filter><condition attribute='name' operator='not-in'><value>North</value></condition></filter>"
            "</entity></fetch>"
        ),
    ],
    ids=["QueryExpression", "FetchXML"],
)
def test_a_query_has_conditions_of_its_own(related, parent, query):
    assert [row["name"] for row in related(parent, DAUGHTERS, query)] == ["South"]


def test_a_page_of_them_leads_to_the_next(related, parent):
    first = "<fetch count='1'><entity name='account'><attribute name='name'/></entity></fetch>"
    page = related(parent, DAUGHTERS, FetchExpression(first))
    assert page.more_records
    assert page.paging_cookie.startswith("<cookie")


def test_a_row_that_refers_to_none_has_none(service, related):
    lonely = EntityReference("account", service.create(account()))
    assert len(related(lonely, CONTACT, QueryExpression.of("contact"))) == 0


def test_many_to_many_is_answered_from_either_side(service, related):
    team = EntityReference("team", service.create(Entity("team", None, {"name": "Sales"})))
    user = EntityReference("systemuser", INTEGRATION_USER_ID)
    service.create(Entity("team", None, {"name": "Another"}))
    service.associate(team.logical_name, team.id, MEMBERS, [user])
    assert [row.id for row in related(team, MEMBERS, QueryExpression.of("systemuser"))] == [user.id]
    assert [row["name"] for row in related(user, MEMBERS, QueryExpression.of("team"))] == ["Sales"]


@pytest.mark.parametrize(
    ("queries", "fault", "said"),
    [
        ({"no_such": QueryExpression.of("account")}, InvalidArgument, "no relationship 'no_such' between"),
        ({DAUGHTERS: QueryExpression.of("contact")}, InvalidArgument, "between account and contact"),
        ({DAUGHTERS: None}, InvalidArgument, "'RelatedEntitiesQuery' is NoneType; it takes a QueryExpression"),
        ({DAUGHTERS: QueryExpression.of("account", "no_such")}, AttributeNotFound, "no_such"),
        ([DAUGHTERS], InvalidArgument, "a query for each relationship"),
    ],
    ids=["no relationship", "another table", "no query", "no column", "no mapping"],
)
def test_what_cannot_be_answered_is_refused(send, parent, queries, fault, said):
    with pytest.raises(fault, match=said):
        send("Retrieve", Target=parent, ColumnSet=None, RelatedEntitiesQuery=queries)


def test_an_asynchronous_step_is_told_the_queries(crm, on, send, parent):
    queries = {DAUGHTERS: QueryExpression.of("account", "name")}
    on("Retrieve", 40, mode=1)(lambda context: None)
    send("Retrieve", Target=parent, RelatedEntitiesQuery=queries)
    crm.run_jobs()
    (ran,) = crm.executions
    assert ran.context.input_parameters["RelatedEntitiesQuery"] == queries
