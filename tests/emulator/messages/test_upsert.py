"""Upsert: Create or Update, whichever the row needs, and the steps of that message."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityReference,
)
from runner.execution.step import StepError

KEY = {"new_stripepaymentintentid": "pi_1"}


@pytest.mark.behaviour(
    "Messages",
    "Upsert of a row that is not there copies the key columns into Target and raises Create, not Upsert",
    "use-upsert-insert-update-record",
)
def test_upsert_creates_what_is_not_there(service, send, ran):
    labels = ran("Create", "new_payment")
    target = Entity("new_payment", None, {"new_name": "New"}, key_attributes=KEY)
    results = send("Upsert", Target=target)
    row = service.retrieve("new_payment", results["Target"].id)
    assert results["RecordCreated"] is True
    assert (row["new_name"], row["new_stripepaymentintentid"]) == ("New", "pi_1")
    assert labels == ["Create"]


@pytest.mark.behaviour(
    "Messages",
    "Upsert of a row that is there drops the key columns from Target and raises Update",
    "use-upsert-insert-update-record",
)
def test_upsert_updates_what_is_there_without_its_key(service, send, on):
    id = service.create(Entity("new_payment", None, KEY))
    seen = []
    on("Update", 20, entity="new_payment")(lambda context: seen.append(set(context.target.keys())))
    target = Entity("new_payment", None, {"new_name": "Same", **KEY}, key_attributes=KEY)
    assert send("Upsert", Target=target) == {"RecordCreated": False, "Target": EntityReference("new_payment", id)}
    assert seen == [{"new_paymentid", "new_name"}]


@pytest.mark.behaviour(
    "Messages", "Upsert by an id nobody has creates the row with that id", "use-upsert-insert-update-record"
)
def test_upsert_by_an_id_nobody_has_creates_that_row(service, send):
    id = "33333333-3333-3333-3333-333333333333"
    assert send("Upsert", Target=account(id=id))["RecordCreated"] is True
    assert service.retrieve("account", id)["name"] == "Contoso"


def test_an_upsert_with_the_empty_id_creates(send):
    results = send("Upsert", Target=account(id=EMPTY_GUID))
    assert results["RecordCreated"]
    assert results["Target"].id != EMPTY_GUID


@pytest.mark.behaviour("Messages", "No step runs on Upsert itself", "common")
def test_no_step_runs_on_upsert(on):
    with pytest.raises(StepError, match="Upsert runs no custom steps"):
        on("Upsert", 20)(lambda context: None)


@pytest.mark.behaviour(
    "Context",
    "The parent of the Create or Update an Upsert comes down to tells of the Upsert, at the same depth",
    "common",
)
def test_the_parent_of_what_upsert_does_is_the_upsert(send, on):
    seen = []
    on("Create", 20)(lambda context: seen.append((context.parent_context.message_name, context.depth)))
    send("Upsert", Target=account())
    assert seen == [("Upsert", 1)]
