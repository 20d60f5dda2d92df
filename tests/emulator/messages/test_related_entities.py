"""Rows that are created and updated together with the row they are related to."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    Entity,
    EntityCollection,
    EntityReference,
    QueryExpression,
    new_guid,
)
from runner.emulator.errors import (
    InvalidArgument,
)

ACCOUNTS_CONTACT = "account_primary_contact"


def with_related(row, relationship, *related):
    row.related_entities[relationship] = EntityCollection(list(related))
    return row


@pytest.mark.behaviour(
    "Messages",
    "Create creates the RelatedEntities of Target too, each with its own Create steps",
    "org-service/entity-operations-create",
)
def test_related_rows_are_created_with_their_row(service, on, names):
    seen = []
    on("Create", 20, entity="contact")(lambda context: seen.append(context.target["parentcustomerid"].id))
    nancy, sven = (Entity("contact", None, {"lastname": name}) for name in ("Nancy", "Sven"))
    id = service.create(with_related(account(), "contact_customer_accounts", nancy, sven))
    assert names("contact", "lastname") == ["Nancy", "Sven"]
    assert seen == [id, id]


def test_a_related_row_may_be_one_the_row_refers_to(service):
    contact = Entity("contact", None, {"lastname": "Nancy"})
    id = service.create(with_related(account(), ACCOUNTS_CONTACT, contact))
    assert service.retrieve("account", id)["primarycontactid"].name == "Nancy"


def test_a_row_refers_to_one_related_row_only(service, names):
    contacts = (Entity("contact", None, {"lastname": name}) for name in ("Nancy", "Sven"))
    with pytest.raises(InvalidArgument, match="can have one row of 'account_primary_contact', not 2"):
        service.create(with_related(account(), ACCOUNTS_CONTACT, *contacts))
    assert names() == []


def test_related_rows_may_be_linked_many_to_many(service):
    user = Entity("systemuser", None, {"firstname": "Nancy"})
    service.create(with_related(Entity("team", None, {"name": "Sales"}), "teammembership_association", user))
    assert len(service.retrieve_multiple(QueryExpression.of("teammembership"))) == 1


@pytest.mark.behaviour(
    "Messages",
    "Update updates the RelatedEntities of Target too, after it, each with its own Update steps",
    "org-service/entity-operations-update-delete",
)
@pytest.mark.parametrize("message", ["Update", "UpdateMultiple", "Upsert"])
def test_related_rows_are_updated_with_their_row(service, send, on, message):
    seen = []
    on("Update", 40)(lambda context: seen.append("account"))
    on("Update", 40, entity="contact")(lambda context: seen.append("contact"))
    nancy = service.create(Entity("contact", None, {"lastname": "Nancy"}))
    id = service.create(account(primarycontactid=EntityReference("contact", nancy)))
    changed = with_related(account("Fabrikam", id), ACCOUNTS_CONTACT, Entity("contact", nancy, {"lastname": "Sven"}))
    send(message, **({"Targets": EntityCollection([changed])} if "Multiple" in message else {"Target": changed}))
    assert service.retrieve("contact", nancy)["lastname"] == "Sven"
    assert seen == ["contact", "account"]


@pytest.mark.parametrize(
    ("relationship", "related", "said"),
    [
        ("account_parent_account", account("Daughter"), "needs the id of the row"),
        ("account_parent_account", Entity("contact", new_guid()), "no relationship"),
        ("no_such_relationship", account(id=new_guid()), "no relationship 'no_such_relationship'"),
    ],
    ids=["no id", "no relation of its table", "no relationship"],
)
def test_a_related_row_that_cannot_be_updated_undoes_the_whole(service, names, relationship, related, said):
    id = service.create(account())
    with pytest.raises(InvalidArgument, match=said):
        service.update(with_related(account("Fabrikam", id), relationship, related))
    assert names() == ["Contoso"]


@pytest.mark.behaviour(
    "Transactions", "One bad row of RelatedEntities undoes the whole Create", "org-service/entity-operations-create"
)
def test_a_related_row_that_cannot_be_undoes_the_whole(service, names):
    bad = Entity("contact", None, {"no_such_column": 1})
    with pytest.raises(InvalidArgument, match="no_such_column"):
        service.create(with_related(account(), "contact_customer_accounts", bad))
    assert names() == []
