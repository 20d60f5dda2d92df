"""Files of rows that earlier versions wrote."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from dataverse_client.types import Entity, EntityReference, OrganizationRequest
from runner.cli.main import runner
from runner.emulator.emulator import Emulator
from runner.emulator.errors import DuplicateRecordEntityKey, EntityKeyNotDefined
from runner.emulator.seed import ORGANIZATION_ID
from runner.emulator.storage.text import fold
from runner.emulator.storage.upgrade import FORM, DatabaseFormError

CAFE, OTHER, ORDER = (f"00000000-0000-0000-0000-00000000000{digit}" for digit in "123")
KEY = {"schema_name": "new_NameKey", "columns": ["name"]}
DAY = {"type": "DateTime", "schema_name": "new_Day", "date_only": True}

#: Makes the file of a new environment one of the versions that did not number the form of their files.
EARLIER = f"""
PRAGMA user_version = 0;
ALTER TABLE account DROP COLUMN merged;
ALTER TABLE account ADD COLUMN new_day TEXT;
ALTER TABLE organization DROP COLUMN blockedattachments;
CREATE UNIQUE INDEX "account.new_namekey" ON account (name);
INSERT INTO account (accountid, name, new_day) VALUES ('{CAFE}', 'Café', '2026-01-31T12:00:00Z');
INSERT INTO account (accountid, name) VALUES ('{OTHER}', 'Other');
INSERT INTO salesorder (salesorderid, submitdate) VALUES ('{ORDER}', '2026-05-06');
DROP INDEX "new_payment.new_stripepaymentintentkey";
"""


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "dataverse.db"
    Emulator(database=path).close()
    described = json.dumps({"columns": {"new_day": DAY}, "keys": {"new_namekey": KEY}})
    change(path, f"{EARLIER} INSERT INTO customization VALUES ('account', '{described}')")
    return path


def change(database, script):
    with closing(sqlite3.connect(database)) as connection:
        connection.create_function("fold", 1, fold, deterministic=True)
        connection.executescript(script)


def interrupted(*_):
    raise InterruptedError


def by_key(crm, name):
    target = EntityReference("account", key_attributes={"name": name})
    return crm.execute(OrganizationRequest("Retrieve", {"Target": target, "ColumnSet": ("name",)})).results["Entity"]


def test_keys_compare_text_as_this_version_does(database):
    with Emulator(database=database) as crm:
        assert by_key(crm, "CAFE ")["name"] == "Café"
        with pytest.raises(DuplicateRecordEntityKey):
            crm.service().create(Entity("account", None, {"name": "cafe"}))


def test_a_key_that_rows_now_violate_has_failed_and_can_be_reactivated(database, caplog):
    change(database, f"UPDATE account SET name = 'cafe' WHERE accountid = '{OTHER}'")
    with Emulator(database=database) as crm:
        assert "The key new_namekey of account has failed" in caplog.text
        with pytest.raises(EntityKeyNotDefined):
            by_key(crm, "cafe")
        crm.service().update(Entity("account", OTHER, {"name": "Other"}))
        with crm.customizing() as customizations:
            customizations.reactivate_key("account", "new_namekey")
        assert by_key(crm, "cafe").id == CAFE


def test_columns_new_in_tables_have_their_defaults_and_the_others_what_they_had(database):
    with Emulator(database=database) as crm:
        row = crm.service().retrieve("account", CAFE, ("merged", "donotemail"))
        assert row["merged"] is False
        assert "donotemail" not in row
        organization = crm.service().retrieve("organization", ORGANIZATION_ID, ("blockedattachments",))
        assert "exe" in organization["blockedattachments"].split(";")


def test_dates_and_moments_are_as_their_columns_say(database):
    with Emulator(database=database) as crm:
        order = crm.service().retrieve("salesorder", ORDER, ("submitdate",))
        assert order["submitdate"] == datetime(2026, 5, 6, tzinfo=UTC)
        account = crm.service().retrieve("account", CAFE, ("new_day",))
        assert account["new_day"].isoformat() == "2026-01-31"


def test_a_file_is_upgraded_once(database):
    for _ in range(2):
        Emulator(database=database).close()
    change(database, "UPDATE account SET merged = NULL")
    with Emulator(database=database) as crm:
        assert "merged" not in crm.service().retrieve("account", CAFE, ("merged",))


def test_an_interrupted_upgrade_starts_again(database, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("runner.emulator.customizations.finish_upgrade", interrupted)
        with pytest.raises(InterruptedError):
            Emulator(database=database)
    with Emulator(database=database) as crm:
        assert crm.service().retrieve("salesorder", ORDER, ("submitdate",))["submitdate"].tzinfo is UTC


def test_a_platform_key_that_rows_violate_is_told_in_words(database):
    for number, intent in enumerate(("pi_é", "pi_e")):
        columns = "new_paymentid, new_stripepaymentintentid"
        change(database, f"INSERT INTO new_payment ({columns}) VALUES ('{number}', '{intent}')")
    with pytest.raises(DatabaseFormError, match=r"dataverse\.db holds rows .*new_stripepaymentintentkey.* Change one"):
        Emulator(database=database)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: change(path, f"PRAGMA user_version = {FORM + 1}"), "was written by a later version"),
        (lambda path: path.write_bytes(b"no database" * 100), "file is not a database"),
    ],
)
def test_what_is_no_file_of_this_version_is_refused_in_words(database, spoil, words):
    spoil(database)
    result = CliRunner().invoke(runner, ["emulate", "--data", str(database.parent), "--port", "0"])
    assert (result.exit_code, words in result.output) == (2, True), result.output
