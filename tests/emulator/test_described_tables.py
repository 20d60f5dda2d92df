"""Tables and columns of one's own, described in the registrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.emulator import Emulator
from runner.emulator.metadata.described import metadata_for
from runner.emulator.metadata.load import load_metadata
from runner.execution.step import StepError
from runner.registrations.load import parse

BOOKINGS = """
tables:
  new_booking:
    primary_name: new_name
    columns:
      new_name: { type: String, max_length: 20, required: true }
      new_status: { type: Picklist, options: { 1: Open, 2: Paid }, default: 1 }
      new_paymentid: { type: Lookup, schema_name: new_PaymentId, targets: [new_payment] }
      new_guestid: { type: Customer }
      new_number: { type: String, auto_number_format: "B-{SEQNUM:3}" }
    keys:
      new_numberkey: { columns: [new_number] }
  new_payment:
    columns:
      new_receipt: { type: File }
"""


def test_a_row_of_a_table_of_ones_own() -> None:
    with Emulator(metadata=metadata_for(parse(BOOKINGS))) as emulator:
        crm = emulator.service()
        payment = EntityReference("new_payment", crm.create(Entity("new_payment", attributes={"new_name": "Deposit"})))
        booking = crm.create(Entity("new_booking", attributes={"new_name": "Rome", "new_paymentid": payment}))
        row = crm.retrieve("new_booking", booking)
    assert (row["new_status"], row["new_number"]) == (OptionSetValue(1), "B-1000")
    assert (row["new_paymentid"].id, row["new_paymentid"].name) == (payment.id, "Deposit")
    assert row["statecode"] == OptionSetValue(0)


def test_names_that_are_not_given_are_formed_as_by_the_platform() -> None:
    table = metadata_for(parse("tables: { new_entry: { columns: { new_name: { type: String } } } }")).tables[
        "new_entry"
    ]
    assert (table.schema_name, table.entity_set_name, table.display_name) == ("new_Entry", "new_entries", "Entry")


def test_a_shipped_table_keeps_its_columns_and_gets_the_described_ones() -> None:
    payment = metadata_for(parse(BOOKINGS)).tables["new_payment"]
    assert {"new_amount", "new_receipt", "new_receipt_name"} <= payment.columns.keys()
    assert "new_receipt" not in load_metadata().tables["new_payment"].columns


def test_a_customer_is_an_account_or_a_contact() -> None:
    guest = metadata_for(parse(BOOKINGS)).tables["new_booking"].columns["new_guestid"]
    assert guest.targets == ("account", "contact")


def test_rows_are_kept_when_a_column_is_described_later(tmp_path: Path) -> None:
    """Given a file with a booking, when its table is described with one column more, then the row is still there."""
    with Emulator(database=tmp_path / "crm.db", metadata=metadata_for(parse(BOOKINGS))) as emulator:
        booking = emulator.service().create(Entity("new_booking", attributes={"new_name": "Rome"}))
    later = BOOKINGS.replace("      new_guestid:", "      new_nights: { type: Integer }\n      new_guestid:")
    with Emulator(database=tmp_path / "crm.db", metadata=metadata_for(parse(later))) as emulator:
        emulator.service().update(Entity("new_booking", booking, {"new_nights": 3}))
        row = emulator.service().retrieve("new_booking", booking)
    assert (row["new_name"], row["new_nights"]) == ("Rome", 3)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("{ columns: { new_to: { type: Lookup, targets: [new_nowhere] } } }", "leads to no table 'new_nowhere'"),
        ("{ entity_set_name: accounts }", "accounts is another's"),
    ],
    ids=["no such target", "an entity set of another table"],
)
def test_what_does_not_fit_the_other_tables_is_refused(table: str, told: str) -> None:
    with pytest.raises(StepError, match=told):
        metadata_for(parse(f"tables: {{ new_stay: {table} }}"))
