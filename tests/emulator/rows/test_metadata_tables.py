"""The tables that come with the product."""

from __future__ import annotations

import pytest

from runner.emulator.metadata.load import describe, load_metadata, metadata_of
from runner.emulator.metadata.model import AttributeType, CascadeDelete

METADATA = load_metadata()


def test_a_payment_is_found_by_its_entity_set():
    payment = METADATA.by_entity_set["new_payments"]
    assert (payment.logical_name, payment.primary_id_attribute) == ("new_payment", "new_paymentid")


def test_every_money_column_has_one_in_the_base_currency():
    for table in METADATA.tables.values():
        for column in table.columns.values():
            if column.type is AttributeType.MONEY and column.base_of is None:
                assert table.columns[f"{column.logical_name}_base"].base_of == column.logical_name
                assert {"transactioncurrencyid", "exchangerate"} <= table.columns.keys()


@pytest.mark.parametrize("column", ["createdon", "modifiedby", "versionnumber", "ownerid", "statuscode"])
def test_the_platforms_columns_are_on_a_table_that_does_not_name_them(column):
    assert column in METADATA.tables["new_payment"].columns


def test_every_status_reason_belongs_to_a_state_of_its_table():
    for table in METADATA.tables.values():
        if "statuscode" in table.columns:
            states = {option.value for option in table.columns["statecode"].options}
            assert {option.state for option in table.columns["statuscode"].options} == states


def test_ids_are_the_same_whenever_tables_are_loaded():
    again = load_metadata.__wrapped__()
    assert again is not METADATA
    assert again == METADATA


def test_no_two_things_share_an_id():
    ids = [table.metadata_id for table in METADATA.tables.values()]
    ids += [column.metadata_id for table in METADATA.tables.values() for column in table.columns.values()]
    ids += [relationship.metadata_id for relationship in METADATA.one_to_many]
    assert len(set(ids)) == len(ids)


def test_a_custom_lookup_is_navigated_by_its_schema_name():
    (relationship,) = [r for r in METADATA.many_to_one("new_payment") if r.referencing_attribute == "new_salesorderid"]
    assert relationship.referencing_entity_navigation_property_name == "new_SalesOrderId"


def test_a_customer_is_navigated_by_the_table_it_points_at():
    navigations = {
        r.referenced_entity: r.referencing_entity_navigation_property_name
        for r in METADATA.many_to_one("salesorder")
        if r.referencing_attribute == "customerid"
    }
    assert navigations == {"account": "customerid_account", "contact": "customerid_contact"}


def test_both_sides_of_a_relationship_know_it():
    for relationship in METADATA.referenced_by("account"):
        assert relationship in METADATA.many_to_one(relationship.referencing_entity)


def test_schema_names_of_relationships_are_unique():
    names = [relationship.schema_name for relationship in METADATA.one_to_many]
    assert len(set(names)) == len(names)


def test_a_relationship_to_a_table_that_is_not_there_is_left_out():
    columns = {"new_otherid": {"type": "Lookup", "targets": ["new_other"]}}
    lonely = {"logical_name": "new_a", "schema_name": "new_A", "entity_set_name": "new_as", "display_name": "A"}
    assert metadata_of([{**lonely, "columns": columns}]).one_to_many == ()


def test_accounts_with_orders_are_kept_and_their_contacts_go_with_them():
    behaviour = {r.schema_name: r.cascade_delete for r in METADATA.referenced_by("account")}
    assert behaviour["order_customer_accounts"] is CascadeDelete.RESTRICT
    assert behaviour["contact_customer_accounts"] is CascadeDelete.CASCADE


def test_a_file_column_brings_its_name_and_the_relationship_to_its_files():
    """given a table's description with a file column, and the table of files, when they are loaded"""
    columns = {"new_name": {"type": "String", "max_length": 100}, "new_evidence": {"type": "File"}}
    names = {"logical_name": "new_claim", "schema_name": "new_Claim", "entity_set_name": "new_claims"}
    claim = {**names, "display_name": "Claim", "primary_name": "new_name", "columns": columns}
    loaded = metadata_of([claim, describe("fileattachment")])

    table = loaded.tables["new_claim"]
    assert table.columns["new_evidence"].max_size_in_kb == 32768
    assert table.columns["new_evidence_name"].attribute_of == "new_evidence"
    (relationship,) = [r for r in loaded.one_to_many if r.referencing_entity == "fileattachment"]
    assert (relationship.schema_name, relationship.referencing_attribute) == ("new_claim_FileAttachments", "objectid")
