"""Which row is meant, and whether it is still the one that was read."""

from __future__ import annotations

import pytest

from dataverse_client.types import Entity, EntityReference
from runner.emulator.errors import (
    ConcurrencyVersionMismatch,
    DuplicateRecord,
    DuplicateRecordEntityKey,
    EntityKeyNotDefined,
    IncorrectAttributeValueType,
    InvalidArgument,
    ObjectDoesNotExist,
    RecordNotFoundByEntityKey,
)

NOBODY = EntityReference("account", "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11")


def by_intent(intent):
    return EntityReference("new_payment", key_attributes={"new_stripepaymentintentid": intent})


@pytest.mark.behaviour("Rows", "Alternate keys compare text without regard to case", "define-alternate-keys-entity")
def test_a_row_is_found_by_its_alternate_key_without_regard_to_case(crm):
    payment = crm.create("new_payment", new_stripepaymentintentid="pi_Abc")
    assert crm.records.resolve_key(by_intent("PI_ABC")) == payment.id
    assert crm.read(by_intent("pi_Abc"))["new_paymentid"] == payment.id


def test_a_key_of_two_columns_needs_both(samples):
    sample = samples.create("new_sample", new_code="A", new_part=1)
    samples.create("new_sample", new_code="A", new_part=2)
    reference = EntityReference("new_sample", key_attributes={"new_part": 1, "new_code": "A"})
    assert samples.records.resolve_key(reference) == sample.id
    with pytest.raises(EntityKeyNotDefined, match="new_code"):
        samples.records.resolve_key(EntityReference("new_sample", key_attributes={"new_code": "A"}))


def test_a_key_and_another_column_are_no_key(samples):
    samples.create("new_sample", new_code="A", new_part=1)
    more = {"new_part": 1, "new_code": "A", "new_name": "B"}
    with pytest.raises(EntityKeyNotDefined, match="new_name"):
        samples.records.resolve_key(EntityReference("new_sample", key_attributes=more))


def test_a_key_nobody_has_is_no_row(crm):
    assert crm.records.resolve_key(by_intent("pi_none")) is None
    with pytest.raises(RecordNotFoundByEntityKey) as fault:
        crm.read(by_intent("pi_none"))
    assert fault.value.code == 0x80060891


def test_rows_without_a_key_are_not_found_by_its_absence(crm):
    crm.create("new_payment")
    assert crm.records.resolve_key(by_intent(None)) is None


def test_a_key_must_be_of_its_columns_type(crm):
    with pytest.raises(IncorrectAttributeValueType, match="new_stripepaymentintentid"):
        crm.records.resolve_key(by_intent(7))


def test_an_id_is_resolved_only_if_there_is_such_a_row(crm):
    account = crm.create("account")
    assert crm.records.resolve_key(Entity("account", account.id)) == account.id
    assert crm.records.resolve_key(NOBODY) is None


def test_neither_id_nor_key_means_no_row(crm):
    with pytest.raises(InvalidArgument, match="account"):
        crm.records.resolve_key(Entity("account"))


@pytest.mark.behaviour(
    "Rows", "A second row with the same alternate key is refused with 0x80060892", "reference/web-service-error-codes"
)
@pytest.mark.parametrize("intent", ["pi_1", "PI_1"])
def test_an_alternate_key_is_given_once(crm, intent):
    crm.create("new_payment", new_stripepaymentintentid="pi_1")
    with pytest.raises(DuplicateRecordEntityKey, match="new_StripePaymentIntentKey") as fault:
        crm.create("new_payment", new_stripepaymentintentid=intent)
    assert (fault.value.code, fault.value.http_status) == (0x80060892, 412)
    with pytest.raises(DuplicateRecordEntityKey):
        crm.update(crm.create("new_payment"), new_stripepaymentintentid=intent)


@pytest.mark.behaviour(
    "Rows", "Rows whose key columns are empty do not violate the key", "define-alternate-keys-entity"
)
def test_many_rows_may_have_no_key(crm):
    first, second = crm.create("new_payment"), crm.create("new_payment")
    assert first != second


@pytest.mark.behaviour(
    "Rows", "A second row with the same id is refused with 0x80040237", "reference/web-service-error-codes"
)
def test_an_id_is_given_once(crm):
    account = crm.create("account")
    with pytest.raises(DuplicateRecord) as fault:
        crm.create("account", account.id)
    assert (fault.value.code, fault.value.http_status) == (0x80040237, 412)


@pytest.mark.parametrize("written", ["{}", 'W/"{}"'])
def test_an_update_of_the_version_that_was_read_is_taken(crm, written):
    account = crm.create("account", name="Contoso")
    crm.update(account, name="Fabrikam", row_version=written.format(crm.read(account).row_version))
    assert crm.read(account)["name"] == "Fabrikam"


@pytest.mark.behaviour(
    "Rows", "A row's version grows with every change; an update of an older one is refused", "optimistic-concurrency"
)
def test_an_update_of_a_version_that_is_past_is_refused(crm):
    account = crm.create("account", name="Contoso")
    read = crm.read(account).row_version
    crm.update(account, name="Fabrikam")
    with pytest.raises(ConcurrencyVersionMismatch) as fault:
        crm.update(account, name="Northwind", row_version=read)
    with pytest.raises(ConcurrencyVersionMismatch):
        crm.delete(account, row_version=read)
    assert (fault.value.code, fault.value.http_status) == (0x80060882, 412)
    assert crm.read(account)["name"] == "Fabrikam"


@pytest.mark.parametrize("work", ["read", "update", "delete"])
def test_a_row_that_is_not_there_is_named(crm, work):
    with pytest.raises(ObjectDoesNotExist, match=f"account With Id = {NOBODY.id} Does Not Exist"):
        getattr(crm, work)(NOBODY)


def test_an_update_cannot_change_the_id(crm):
    account = crm.create("account")
    with pytest.raises(InvalidArgument, match="cannot be changed"):
        crm.update(account, accountid=NOBODY.id)


def test_an_update_must_say_which_row(crm):
    with pytest.raises(InvalidArgument, match="needs the id of the row"):
        crm.update(Entity("account"), name="Contoso")
