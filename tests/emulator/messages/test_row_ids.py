"""How a message names its row: by an id however it is spelled, by its id column, or by an alternate key."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    EMPTY_GUID,
    Entity,
    EntityCollection,
    EntityReference,
    new_guid,
)
from runner.emulator.errors import (
    InvalidArgument,
    RecordNotFoundByEntityKey,
)

KEY = {"new_stripepaymentintentid": "pi_1"}


ORDERS_PAYMENTS = "new_payment_SalesOrderId_salesorder"


@pytest.mark.behaviour("Messages", "Create with the empty id makes an id", "org-service/entity-operations-create")
def test_the_empty_id_is_none(service):
    assert service.create(Entity("account", EMPTY_GUID, {"name": "Contoso"})) != EMPTY_GUID


def test_update_without_an_id_is_refused(service):
    with pytest.raises(InvalidArgument, match="needs the id of the row"):
        service.update(account())


@pytest.mark.behaviour("Messages", "An id means the same row however it is spelled", "common")
@pytest.mark.parametrize("spelled", [str.upper, "{{{}}}".format], ids=["upper case", "braces"])
def test_an_id_may_be_spelled_in_any_way(service, spelled):
    id = service.create(account(id="aaaaaaaa-0000-0000-0000-000000000001"))
    service.update(account("Other", spelled(id)))
    assert service.retrieve("account", spelled(id))["name"] == "Other"
    lookup = EntityReference("account", spelled(id))
    person = service.create(Entity("contact", None, {"parentcustomerid": lookup}))
    assert service.retrieve("contact", person)["parentcustomerid"] == EntityReference("account", id)
    service.update(Entity("contact", person, {"parentcustomerid": None}))
    service.delete("account", spelled(id))


@pytest.mark.parametrize("message", ["Update", "Upsert", "Delete", "Retrieve"])
def test_an_id_that_is_no_guid_is_refused(send, message):
    target = account(id="nonsense")
    with pytest.raises(InvalidArgument, match="'nonsense' is not a GUID"):
        send(message, Target=target if message.startswith("Up") else target.to_entity_reference())


@pytest.mark.parametrize("message", ["Update", "Upsert"])
@pytest.mark.parametrize("id", [None, EMPTY_GUID], ids=["none", "empty"])
def test_the_id_may_be_in_its_column_alone(service, send, names, message, id):
    created = service.create(account(accountid=new_guid().upper(), id=id))
    send(message, Target=account("Fabrikam", id, accountid=created.upper()))
    assert names() == ["Fabrikam"]


def test_an_id_is_the_same_in_its_column_however_it_is_spelled(service, names):
    id = service.create(account())
    service.update(account("Fabrikam", id, accountid=f"{{{id.upper()}}}"))
    assert names() == ["Fabrikam"]


@pytest.mark.parametrize("message", ["Create", "CreateMultiple", "Update", "Upsert"])
def test_an_id_is_not_another_in_its_column(service, send, message):
    target = account(id=service.create(account()) if message == "Update" else None, accountid=new_guid())
    target.id = target.id or new_guid()
    with pytest.raises(InvalidArgument):
        send(message, **({"Targets": EntityCollection([target])} if "Multiple" in message else {"Target": target}))


# --- alternate keys -------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Messages", "Update finds its row by alternate key", "define-alternate-keys-entity")
def test_update_finds_its_row_by_alternate_key(service):
    id = service.create(Entity("new_payment", None, KEY))
    service.update(Entity("new_payment", None, {"new_name": "Found"}, key_attributes=KEY))
    assert service.retrieve("new_payment", id)["new_name"] == "Found"


@pytest.mark.behaviour("Messages", "Retrieve finds its row by alternate key", "define-alternate-keys-entity")
def test_retrieve_by_alternate_key(service, send):
    id = service.create(Entity("new_payment", None, KEY))
    reference = EntityReference("new_payment", key_attributes=KEY)
    assert send("Retrieve", Target=reference, ColumnSet=())["BusinessEntity"].id == id


def test_rows_are_associated_by_alternate_key(service, send):
    order = service.create(Entity("salesorder", None, KEY))
    payment = service.create(Entity("new_payment", None, {"new_stripepaymentintentid": "pi_2"}))
    by_key = EntityReference("new_payment", key_attributes={"new_stripepaymentintentid": "pi_2"})
    reference = EntityReference("salesorder", key_attributes=KEY)
    send("Associate", Target=reference, Relationship=ORDERS_PAYMENTS, RelatedEntities=(by_key,))
    assert service.retrieve("new_payment", payment)["new_salesorderid"].id == order


@pytest.mark.behaviour("Messages", "An alternate key that finds no row is refused with 0x80060891", "common")
def test_an_alternate_key_that_finds_nothing_is_said_so(service):
    with pytest.raises(RecordNotFoundByEntityKey):
        service.update(Entity("new_payment", None, {"new_name": "Found"}, key_attributes=KEY))


@pytest.mark.behaviour(
    "Messages", "The primary key among the key attributes says which row it is", "use-alternate-key-create-record"
)
def test_the_primary_key_is_a_key(service, send, names):
    key = {"accountid": service.create(account()).upper()}
    service.update(Entity("account", None, {"name": "A"}, key_attributes=key))
    assert names() == ["A"]
    assert not send("Upsert", Target=Entity("account", None, {"name": "B"}, key_attributes=key))["RecordCreated"]
    row = send("Retrieve", Target=EntityReference("account", key_attributes=key), ColumnSet=("name",))
    assert row["BusinessEntity"]["name"] == "B"


@pytest.mark.behaviour("Messages", "A lookup may name its row by alternate key", "use-alternate-key-reference-record")
@pytest.mark.parametrize("message", ["Create", "Update", "CreateMultiple", "UpdateMultiple"])
def test_a_lookup_may_name_its_row_by_alternate_key(service, send, message):
    order = service.create(Entity("salesorder", None, KEY))
    id = service.create(Entity("new_payment")) if "Update" in message else new_guid()
    target = Entity("new_payment", id, {"new_salesorderid": EntityReference("salesorder", key_attributes=KEY)})
    send(message, **({"Targets": EntityCollection([target])} if "Multiple" in message else {"Target": target}))
    assert service.retrieve("new_payment", id)["new_salesorderid"].id == order


def test_a_lookup_by_a_key_nobody_has_is_refused(service):
    lookup = EntityReference("salesorder", key_attributes=KEY)
    with pytest.raises(RecordNotFoundByEntityKey):
        service.create(Entity("new_payment", None, {"new_salesorderid": lookup}))
