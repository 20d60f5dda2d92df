"""What Associate, Disassociate and Delete do to the rows at the other end of a relationship."""

from __future__ import annotations

import pytest
from emulator_samples import account, refuse

from dataverse_client.types import (
    Entity,
    EntityReference,
    OrganizationRequest,
    new_guid,
)
from runner.emulator.errors import InvalidArgument, ObjectDoesNotExist
from runner.emulator.plugin_faults import IsvAborted
from runner.emulator.seed import INTEGRATION_USER_ID

ACCOUNTS_CONTACT = "account_primary_contact"


@pytest.fixture
def pair(service):
    """An account and a contact."""
    person = service.create(Entity("contact", None, {"lastname": "Nancy"}))
    return EntityReference("account", service.create(account())), EntityReference("contact", person)


@pytest.fixture
def employed(service, pair):
    """The contact is the account's."""
    company, person = pair
    service.update(Entity("contact", person.id, {"parentcustomerid": company}))
    return pair


@pytest.mark.behaviour("Messages", "Steps of Associate and Disassociate are registered without a table", "common")
@pytest.mark.parametrize("message", ["Associate", "Disassociate"])
def test_association_raises_its_steps_without_a_table(send, on, pair, message):
    seen = []
    on(message, 20, entity=None)(lambda context: seen.append((context.primary_entity_name, context.input_parameters)))
    company, person = pair
    parameters = {"Target": person, "Relationship": ACCOUNTS_CONTACT, "RelatedEntities": (company,)}
    send(message, **parameters)
    assert seen == [("none", parameters)]


@pytest.mark.behaviour("Messages", "What Associate changes is changed by the caller", "common")
def test_association_is_the_callers_doing(crm, service, pair):
    company, person = pair
    parameters = {"Target": person, "Relationship": ACCOUNTS_CONTACT, "RelatedEntities": (company,)}
    crm.execute(OrganizationRequest("Associate", parameters), user_id=INTEGRATION_USER_ID)
    assert service.retrieve("account", company.id)["modifiedby"].id == INTEGRATION_USER_ID


@pytest.mark.parametrize("message", ["Associate", "Disassociate"])
def test_a_relationship_and_its_row_must_exist_even_for_no_related_rows(send, pair, message):
    nobody = EntityReference("account", new_guid())
    with pytest.raises(InvalidArgument, match="no relationship 'new_nothing' of account"):
        send(message, Target=pair[0], Relationship="new_nothing", RelatedEntities=())
    with pytest.raises(InvalidArgument, match="no relationship 'contact_master_contact' of account"):
        send(message, Target=pair[0], Relationship="contact_master_contact", RelatedEntities=())
    with pytest.raises(ObjectDoesNotExist):
        send(message, Target=nobody, Relationship=ACCOUNTS_CONTACT, RelatedEntities=())
    send(message, Target=pair[0], Relationship=ACCOUNTS_CONTACT, RelatedEntities=())


@pytest.mark.behaviour("Messages", "Rows that a deletion takes along run their own Delete steps", "common")
def test_rows_taken_along_run_their_delete_steps(send, ran, employed):
    ran("Delete")
    labels = ran("Delete", "contact")
    send("Delete", Target=employed[0])
    assert labels == ["Delete", "Delete"]


@pytest.mark.behaviour(
    "Transactions", "A Delete step of a row taken along that throws undoes the deletion", "event-framework"
)
def test_a_row_that_must_stay_keeps_the_row_it_refers_to(service, send, on, employed):
    on("Delete", 40, entity="contact")(refuse)
    with pytest.raises(IsvAborted):
        send("Delete", Target=employed[0])
    assert service.retrieve("contact", employed[1].id)["parentcustomerid"] == employed[0]
