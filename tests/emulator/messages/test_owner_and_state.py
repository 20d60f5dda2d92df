"""Assign, SetState and SetStateDynamicEntity, and the rows that follow a row to its new owner."""

from __future__ import annotations

import pytest
from emulator_samples import account, refuse

from dataverse_client.types import (
    Entity,
    EntityReference,
    OptionSetValue,
    QueryExpression,
)
from runner.emulator.plugin_faults import IsvAborted
from runner.emulator.seed import INTEGRATION_USER_ID, SYSTEM_USER_ID
from runner.execution.step import Image

INTEGRATION_USER = EntityReference("systemuser", INTEGRATION_USER_ID)


@pytest.mark.behaviour(
    "Messages", "Assign changes the owner and raises Update too", "special-update-operation-behavior"
)
def test_assign_changes_the_owner_and_raises_update(service, send, ran):
    id = service.create(account())
    ran("Assign")
    labels = ran("Update")
    owner = EntityReference("systemuser", INTEGRATION_USER_ID)
    send("Assign", Target=EntityReference("account", id), Assignee=owner)
    assert service.retrieve("account", id)["ownerid"] == owner
    assert labels == ["Assign", "Update"]


@pytest.mark.behaviour(
    "Messages", "SetState and SetStateDynamicEntity change state and status reason, and raise Update", "observed"
)
@pytest.mark.parametrize("message", ["SetState", "SetStateDynamicEntity"])
def test_set_state_changes_both_codes_and_raises_update(service, send, ran, message):
    id = service.create(account())
    labels = ran("Update")
    send(message, EntityMoniker=EntityReference("account", id), State=1, Status=OptionSetValue(2))
    row = service.retrieve("account", id)
    assert (row["statecode"].value, row["statuscode"].value) == (1, 2)
    assert labels == ["Update"]


@pytest.mark.behaviour(
    "Messages", "SetState and SetStateDynamicEntity have steps of their own", "org-service/use-messages"
)
@pytest.mark.parametrize("message", ["SetState", "SetStateDynamicEntity"])
def test_set_state_runs_the_steps_of_its_own_message(service, send, on, message):
    seen = []
    for each in ("SetState", "SetStateDynamicEntity"):
        images = (Image("row", "both", ("statecode",)),)
        on(each, 40, images=images)(
            lambda context: seen.append((context.message_name, context.post_image("row")["statecode"].value))
        )
    id = service.create(account())
    send(message, EntityMoniker=EntityReference("account", id), State=OptionSetValue(1), Status=OptionSetValue(2))
    assert seen == [(message, 1)]


@pytest.mark.behaviour(
    "Messages", "SetState with the status -1 takes the state's default status reason", "org-service/use-messages"
)
def test_a_status_of_minus_one_is_the_default(service, send):
    id = service.create(account())
    send("SetState", EntityMoniker=EntityReference("account", id), State=OptionSetValue(1), Status=OptionSetValue(-1))
    assert service.retrieve("account", id)["statuscode"] == OptionSetValue(2)


# --- cascading Assign -----------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Messages",
    "Assign cascades: contacts follow the account or contact they belong to, with Assign steps of their own",
    "configure-entity-relationship-cascading-behavior",
)
def test_contacts_go_to_the_new_owner_with_their_account(service, on, send):
    company = EntityReference("account", service.create(account()))
    first = EntityReference("contact", service.create(Entity("contact", None, {"parentcustomerid": company})))
    second = service.create(Entity("contact", None, {"parentcustomerid": first}))
    assigned = []
    on("Assign", 40, entity="contact")(lambda context: assigned.append(context.primary_entity_id))
    send("Assign", Target=company, Assignee=INTEGRATION_USER)
    assert sorted(assigned) == sorted([first.id, second])
    assert service.retrieve("contact", second)["ownerid"] == INTEGRATION_USER


def test_contacts_stay_when_their_account_does(service):
    company = service.create(account())
    parent = EntityReference("account", company)
    contact = service.create(Entity("contact", None, {"parentcustomerid": parent, "ownerid": INTEGRATION_USER}))
    owner = service.retrieve("account", company)["ownerid"]
    service.update(Entity("account", company, {"ownerid": owner, "name": "New"}))
    assert service.retrieve("contact", contact)["ownerid"] == INTEGRATION_USER


def test_a_contact_that_may_not_go_keeps_its_account(service, on):
    company = service.create(account())
    service.create(Entity("contact", None, {"parentcustomerid": EntityReference("account", company)}))
    on("Assign", 20, entity="contact")(refuse)
    with pytest.raises(IsvAborted):
        service.update(Entity("account", company, {"ownerid": INTEGRATION_USER}))
    assert service.retrieve("account", company)["ownerid"] != INTEGRATION_USER


@pytest.mark.behaviour(
    "Messages",
    "Cascading Assign is all rows, those active, those of the same owner, or none",
    "configure-entity-relationship-cascading-behavior",
)
@pytest.mark.parametrize(
    ("cascade", "moved"),
    [
        ("Cascade", ["active", "inactive", "another's"]),
        ("Active", ["active", "another's"]),
        ("UserOwned", ["active", "inactive"]),
        ("NoCascade", []),
    ],
)
def test_who_follows_is_the_relationships_to_say(crm, service, cascade, moved):
    with crm.customizing() as customizations:
        customizations.update_column("contact", "parentcustomerid", {"cascade_assign": cascade})
    company = service.create(account())
    rows = {
        "active": {},
        "inactive": {"statecode": OptionSetValue(1)},
        "another's": {"ownerid": EntityReference("systemuser", SYSTEM_USER_ID)},
    }
    for name, columns in rows.items():
        parent = {"parentcustomerid": EntityReference("account", company)}
        service.create(Entity("contact", None, {"lastname": name, **parent, **columns}))
    service.update(Entity("account", company, {"ownerid": INTEGRATION_USER}))
    found = service.retrieve_multiple(QueryExpression.of("contact", "lastname", where={"ownerid": INTEGRATION_USER}))
    assert [row["lastname"] for row in found] == moved
