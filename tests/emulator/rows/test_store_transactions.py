"""The database under the rows: transactions, row versions, files."""

from __future__ import annotations

import pytest

from azure_bridge.clock import ManualClock
from dataverse_client.types import Entity, EntityReference
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.metadata.load import load_metadata, metadata_of
from runner.emulator.rows.records import Records
from runner.emulator.seed import SYSTEM_USER_ID
from runner.emulator.storage.store import Store


def test_a_rolled_back_row_was_never_there(crm):
    crm.store.begin()
    id = crm.records.create(Entity("account", None, {"name": "Contoso"}), SYSTEM_USER_ID)
    crm.store.rollback()
    with pytest.raises(ObjectDoesNotExist):
        crm.read(EntityReference("account", id))


def test_row_versions_only_grow_even_over_a_rollback(crm):
    crm.store.begin()
    before = crm.store.next_version()
    crm.store.rollback()
    assert crm.store.next_version() > before


def test_row_versions_grow_on_when_a_file_is_opened_again(tmp_path):
    versions = []
    for _ in range(3):
        store = Store(load_metadata(), tmp_path / "crm.db")
        store.begin()
        versions += [store.next_version(), store.next_version()]
        store.commit()
        store.close()
    assert versions == sorted(set(versions))


def test_rows_are_there_when_the_file_is_opened_again(tmp_path):
    for name in ("first", "second"):
        store = Store(load_metadata(), tmp_path / "crm.db")
        records = Records(store, ManualClock())
        store.begin()
        records.create(Entity("account", None, {"name": name}), SYSTEM_USER_ID)
        store.commit()
        store.close()
    store = Store(load_metadata(), tmp_path / "crm.db")
    assert {row[0] for row in store.execute("SELECT name FROM account")} == {"first", "second"}
    store.close()


def test_a_new_column_is_added_to_a_file_made_before_it(tmp_path):
    table = {"logical_name": "new_a", "schema_name": "new_A", "entity_set_name": "new_as", "display_name": "A"}
    first = {"new_name": {"type": "String"}}
    store = Store(metadata_of([{**table, "columns": first}]), tmp_path / "crm.db")
    store.execute("INSERT INTO new_a (new_aid, new_name) VALUES ('1', 'old')")
    store.close()
    owner = {"new_whoid": {"type": "Customer", "targets": ["account", "contact"]}}
    store = Store(metadata_of([{**table, "columns": first | owner}]), tmp_path / "crm.db")
    assert store.execute("SELECT new_name, new_whoid, new_whoid__table FROM new_a").fetchall() == [("old", None, None)]
    store.close()


def test_a_snapshot_brings_back_what_was(crm):
    account = crm.create("account", name="before")
    snapshot = crm.store.snapshot()
    crm.update(account, name="after")
    crm.create("account", name="another")
    crm.store.restore(snapshot)
    assert crm.names("account", "name") == ["before"]


def test_a_row_changed_after_a_restore_gets_a_version_nobody_had(crm):
    account = crm.create("account", name="before")
    snapshot = crm.store.snapshot()
    crm.update(account, name="lost")
    lost = crm.read(account).row_version
    crm.store.restore(snapshot)
    crm.update(account, name="again")
    assert int(crm.read(account).row_version) > int(lost)


def test_what_is_known_of_a_currency_is_read_again_after_a_rollback(crm, currency, money):
    crm.store.begin()
    crm.records.update(Entity("transactioncurrency", currency("EUR").id, {"currencysymbol": "EURO"}), SYSTEM_USER_ID)
    crm.records.create(
        Entity("account", None, {"revenue": money("1"), "transactioncurrencyid": currency("EUR")}), SYSTEM_USER_ID
    )
    crm.store.rollback()
    account = crm.create("account", revenue=money("1"), transactioncurrencyid=currency("EUR"))
    assert crm.read(account).formatted_values["revenue"] == "€1.00"


def test_an_environment_whose_making_was_cut_short_is_made_whole(tmp_path):
    Store(load_metadata(), tmp_path / "crm.db").close()
    store = Store(load_metadata(), tmp_path / "crm.db")
    Records(store, ManualClock())
    assert store.execute("SELECT COUNT(*) FROM organization").fetchone() == (1,)
    store.close()
