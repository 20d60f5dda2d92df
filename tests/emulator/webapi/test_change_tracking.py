"""Change tracking over the Web API: a full answer, and then what became of the rows since."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from runner.emulator.emulator import Emulator
from runner.emulator.metadata.load import load_metadata
from runner.emulator.metadata.model import Metadata
from runner.emulator.webapi import Request, WebApi

TRACK = {"Prefer": "odata.track-changes"}


@pytest.fixture
def accounts(crm):
    return {name: crm.create("accounts", name=name) for name in "ABC"}


def first(crm, **headers):
    return crm.get("accounts?$select=name", **{**TRACK, **headers})


def follow(crm, page):
    """The names of what is new or changed, the ids of what was deleted, and the answer itself."""
    answer = crm.get(page["@odata.deltaLink"])
    changed = [row["name"] for row in answer["value"] if "name" in row]
    return changed, [row["id"] for row in answer["value"] if row.get("reason") == "deleted"], answer


@pytest.mark.usefixtures("accounts")
def test_the_first_answer_holds_every_row_and_a_link_to_what_follows(crm):
    page = first(crm)
    assert [row["name"] for row in page["value"]] == ["A", "B", "C"]
    assert page["@odata.deltaLink"].startswith("http://crm.example/api/data/v9.2/accounts?$select=name&$deltatoken=")


@pytest.mark.usefixtures("accounts")
def test_nothing_new_is_an_empty_answer_with_another_link(crm):
    changed, deleted, answer = follow(crm, first(crm))
    assert (changed, deleted) == ([], [])
    assert "@odata.deltaLink" in answer


@pytest.mark.behaviour(
    "Web API",
    "A delta link tells of new, changed and deleted rows once",
    "use-change-tracking-synchronize-data-external-systems",
)
def test_new_changed_and_deleted_rows_are_told_of_once(crm, accounts):
    page = first(crm)
    crm.create("accounts", name="D")
    crm.patch(f"accounts({accounts['A']})", {"name": "A2"})
    crm.delete(f"accounts({accounts['B']})")
    changed, deleted, answer = follow(crm, page)
    assert (changed, deleted) == (["D", "A2"], [accounts["B"]])
    assert answer["value"][-1]["@odata.context"].endswith("$metadata#accounts/$deletedEntity")
    assert answer["@odata.context"].endswith("/$delta")
    assert follow(crm, answer)[:2] == ([], [])


@pytest.mark.usefixtures("accounts")
def test_a_row_that_came_and_went_is_only_a_deletion(crm):
    page = first(crm)
    id = crm.create("accounts", name="D")
    crm.delete(f"accounts({id})")
    assert follow(crm, page)[:2] == ([], [id])


def test_a_row_that_was_deleted_and_came_back_is_only_a_change(crm, accounts):
    page = first(crm)
    crm.delete(f"accounts({accounts['A']})")
    crm.create("accounts", accountid=accounts["A"], name="A again")
    assert follow(crm, page)[:2] == (["A again"], [])


def test_what_was_rolled_back_is_not_told_of(crm, emulator, accounts):
    page = first(crm)

    def change_and_fail():
        with emulator.transaction():
            crm.create("accounts", name="D")
            crm.delete(f"accounts({accounts['A']})")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert follow(crm, page)[:2] == ([], [])


def test_pages_come_before_the_delta_link_and_no_change_between_them_is_lost(crm, accounts):
    page = first(crm, Prefer="odata.track-changes,odata.maxpagesize=2")
    assert "@odata.deltaLink" not in page
    crm.patch(f"accounts({accounts['A']})", {"name": "A2"})
    last = crm.get(page["@odata.nextLink"], Prefer="odata.maxpagesize=2")
    assert [row["name"] for row in last["value"]] == ["C"]
    assert follow(crm, last)[0] == ["A2"]


def test_changes_can_be_counted(crm, accounts):
    token = first(crm)["@odata.deltaLink"].partition("$deltatoken=")[2]
    crm.create("accounts", name="D")
    crm.delete(f"accounts({accounts['B']})")
    assert crm.send("GET", f"accounts/$count?$deltatoken={token}").body == b"2"


@pytest.mark.usefixtures("accounts")
class TestRefusals:
    def test_a_token_older_than_the_organization_keeps_changes(self, crm, emulator, error_of):
        page = first(crm)
        emulator.clock.advance(timedelta(days=8))
        assert error_of(crm.send("GET", page["@odata.deltaLink"]))[:2] == (400, "0x80044352")

    @pytest.mark.parametrize("option", ["$filter=name eq 'A'", "$orderby=name", "$top=1", "$expand=primarycontactid"])
    def test_options_it_does_not_support(self, crm, error_of, option):
        status, _, message = error_of(crm.send("GET", f"accounts?{option}", **TRACK))
        assert status == 400
        assert "isn't supported when Change Tracking is enabled" in message

    def test_options_nobody_knows(self, crm, error_of):
        assert error_of(crm.send("GET", "accounts?$search=A", **TRACK))[0] == 400

    @pytest.mark.parametrize("token", ["x", "1", "1!99/99/2026 00:00:00", "9" * 30 + "!01/01/2026 00:00:00"])
    def test_a_token_of_ones_own_making(self, crm, token):
        assert crm.send("GET", f"accounts?$deltatoken={token}").status == 400


def test_a_table_that_is_not_tracked_is_refused(error_of):
    metadata = load_metadata()
    account = replace(metadata.tables["account"], change_tracking_enabled=False)
    untracked = Metadata({**metadata.tables, "account": account}, metadata.one_to_many, metadata.many_to_many)
    with Emulator(metadata=untracked) as emulator:
        response = WebApi(emulator).handle(Request("GET", "/api/data/v9.2/accounts", TRACK))
    assert error_of(response)[:2] == (400, "0x80072491")


@pytest.mark.behaviour(
    "Web API",
    "$metadata?annotations=true tells whose changes are tracked",
    "use-change-tracking-synchronize-data-external-systems",
)
def test_the_schema_document_tells_whose_changes_are_tracked(crm):
    annotation = b'<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking">'
    tracked = crm.get("EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq true")["value"]
    assert crm.send("GET", "$metadata?annotations=true").body.count(annotation) == len(tracked) > 0
    assert annotation not in crm.send("GET", "$metadata").body


def test_changes_are_found_without_looking_at_every_row(tmp_path):
    """Given a table whose changes somebody asked for, its row versions are indexed; another's are not."""
    with Emulator(database=tmp_path / "crm.db") as emulator:
        api = WebApi(emulator)
        asked = api.handle(Request("GET", "/api/data/v9.2/accounts?$select=name", {"Prefer": "odata.track-changes"}))
        assert asked.status == 200
    with closing(sqlite3.connect(tmp_path / "crm.db")) as database:
        plan = "EXPLAIN QUERY PLAN SELECT accountid FROM {} WHERE versionnumber > 5 ORDER BY versionnumber"
        assert "USING INDEX account.versionnumber" in str(database.execute(plan.format("account")).fetchall())
        indexes = database.execute("SELECT name FROM sqlite_master WHERE name LIKE '%versionnumber'").fetchall()
        assert indexes == [("account.versionnumber",)]
