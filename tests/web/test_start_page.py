"""The start page tells people and programs what is served and how to use it."""

from __future__ import annotations

import re

import pytest

from runner.emulator.emulator import Emulator
from runner.execution.step import Step
from runner.plugin import Plugin


class Nod(Plugin):
    def execute(self, context): ...


@pytest.fixture
def emulator(clock):
    step = Step(plugin=Nod(), message="Create", entity="account", stage=40, mode=1, name="Nod <at> accounts")
    with Emulator([step], clock=clock) as emulator:
        yield emulator


def test_programs_get_tables_with_their_rows_and_steps(http):
    http("POST", "/api/data/v9.2/contacts", json={"lastname": "Lovelace"})
    page = http.get("/", Accept="application/json").json()
    assert page["api"] == f"{http.url}/api/data/v9.2"
    contact = {"logical_name": "contact", "display_name": "Contact", "entity_set": "contacts", "rows": 1}
    assert contact in page["tables"]
    [step] = page["steps"]
    assert (step["name"], step["table"], step["message"], step["mode"]) == (
        "Nod <at> accounts",
        "account",
        "Create",
        "async",
    )


def test_what_plug_ins_traced_is_counted_at_once(http, emulator):
    http("POST", "/api/data/v9.2/accounts", json={"name": "Contoso"})
    emulator.run_jobs()
    rows = {table["logical_name"]: table["rows"] for table in http.get("/", Accept="application/json").json()["tables"]}
    assert (rows["account"], rows["asyncoperation"], rows["plugintracelog"]) == (1, 1, 1)


def test_people_get_a_page_that_loads_nothing_from_elsewhere(http):
    answer = http.get("/", Accept="text/html,application/xhtml+xml")
    assert answer.headers["Content-Type"].startswith("text/html")
    addresses = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert [address for address in addresses if not address.startswith(http.url)] == []
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_names_are_text_and_nothing_else(http):
    page = http.get("/").text
    assert "Nod &lt;at&gt; accounts" in page
    assert "<at>" not in page


def test_every_link_of_the_page_leads_somewhere(http):
    links = re.findall(r'href="([^"]*)"', http.get("/").text)
    assert len(links) > 10
    for link in links:
        assert http.get(link.removeprefix(http.url)).status_code == 200, link


def test_an_unknown_address_is_not_found(http):
    assert http.get("/nowhere").status_code == 404
