"""Columns whose text the platform makes: counted, drawn by lot, and of the time."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest

from azure_bridge.clock import ManualClock
from dataverse_client.types import Entity, OrganizationRequest
from runner.emulator.emulator import Emulator
from runner.emulator.errors import InvalidArgument, NotAnAutoNumber, OrganizationServiceFault
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, Plugin

TABLE = {
    "logical_name": "new_widget",
    "schema_name": "new_Widget",
    "entity_set_name": "new_widgets",
    "display_name": "Widget",
    "primary_name": "new_name",
    "columns": {"new_name": {"type": "String", "max_length": 100}},
}


@pytest.fixture
def crm(tmp_path):
    with Emulator(database=tmp_path / "crm.db", clock=ManualClock()) as crm:
        with crm.customizing() as customizations:
            customizations.create_table(TABLE)
        yield crm


@pytest.fixture
def numbered(crm):
    """Give the table a column new_number of that format."""

    def add(text="WID-{SEQNUM:5}"):
        body = {"type": "String", "max_length": 100, "auto_number_format": text}
        with crm.customizing() as customizations:
            customizations.create_column("new_widget", "new_number", body)

    return add


@pytest.fixture
def number(crm):
    """The number a new row has."""

    def create(**columns):
        service = crm.service()
        return service.retrieve("new_widget", service.create(Entity("new_widget", None, columns))).get("new_number")

    return create


@pytest.fixture
def seed(crm):
    def send(message, **parameters):
        named = {"EntityName": "new_widget", "AttributeName": "new_number", **parameters}
        return crm.execute(OrganizationRequest(message, named)).results

    return send


@pytest.mark.behaviour(
    "Rows",
    "An autonumber column counts from 1000, in at least as many digits as it says",
    "create-auto-number-attributes",
)
def test_rows_are_counted(numbered, number):
    numbered("{SEQNUM:5}/{SEQNUM:3}")
    assert [number(), number()] == ["01000/1000", "01001/1001"]


@pytest.mark.behaviour(
    "Rows", "Autonumbers hold random letters and digits, and the UTC time of creation", "create-auto-number-attributes"
)
def test_a_number_is_made_of_its_parts(crm, numbered, number):
    numbered("WID-{SEQNUM:5}-{RANDSTRING:6}-{DATETIMEUTC:yyyyMMddhhmmss} (50%)")
    moment = crm.clock.now().strftime("%Y%m%d%I%M%S")
    assert re.fullmatch(rf"WID-01000-[A-Z0-9]{{6}}-{moment} \(50%\)", number())


@pytest.mark.behaviour("Rows", "A row that brings a number of its own keeps it, and uses up none", "common")
def test_a_number_that_is_sent_is_kept(numbered, number):
    numbered()
    assert [number(new_number="mine"), number(new_number=None), number()] == ["mine", "WID-01000", "WID-01001"]


@pytest.mark.behaviour(
    "Rows", "The number of a row that is rolled back is not used again", "create-auto-number-attributes"
)
def test_numbers_have_gaps(crm, numbered, number):
    class Refuse(Plugin):
        def execute(self, context):
            if context.target.get("new_name") == "bad":
                raise InvalidPluginExecutionException(f"not {context.target['new_number']}")

    numbered()
    crm.register(Step(plugin=Refuse(), message="Create", entity="new_widget", stage=40))
    with pytest.raises(OrganizationServiceFault, match="not WID-01000"):
        number(new_name="bad")
    assert number() == "WID-01001"


@pytest.mark.behaviour("Rows", "SetAutoNumberSeed says which number comes next", "create-auto-number-attributes")
def test_counting_begins_where_it_is_told(numbered, number, seed):
    numbered()
    number()
    seed("SetAutoNumberSeed", Value=7)
    assert seed("GetAutoNumberSeed") == {"AutoNumberSeedValue": 7}
    assert number() == "WID-00007"
    assert seed("GetNextAutoNumberValue") == {"NextAutoNumberValue": "8"}


def test_a_seed_that_is_rolled_back_has_no_effect(crm, numbered, number, seed):
    numbered()
    with suppress(ZeroDivisionError), crm.transaction():
        seed("SetAutoNumberSeed", Value=7)
        raise ZeroDivisionError
    assert number() == "WID-01000"


def test_a_snapshot_brings_numbers_back(crm, numbered, number):
    numbered()
    before = crm.snapshot()
    first = number()
    crm.restore(before)
    assert number() == first


def test_numbers_continue_in_the_next_process(crm, numbered, number, tmp_path):
    numbered()
    number()
    crm.close()
    with Emulator(database=tmp_path / "crm.db") as again:
        service = again.service()
        assert service.retrieve("new_widget", service.create(Entity("new_widget")))["new_number"] == "WID-01001"


@pytest.mark.behaviour("Rows", "Seeding a column that is no autonumber answers 0x80060884", "common")
def test_only_autonumbers_have_seeds(seed):
    with pytest.raises(NotAnAutoNumber, match="'new_name'"):
        seed("SetAutoNumberSeed", AttributeName="new_name", Value=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{SEQNUM}",
        "{SEQNUM:x}",
        "{SEQNUM:0}",
        "{RANDSTRING:7}",
        "{NUMBER:3}",
        "{DATETIMEUTC:QQ}",
        "a}b",
        "{SEQNUM:5",
    ],
)
def test_what_is_no_format_is_refused(crm, numbered, text):
    with pytest.raises(InvalidArgument, match="AutoNumberFormat"):
        numbered(text)
    assert "new_number" not in crm.metadata.tables["new_widget"].columns


def test_a_text_column_may_become_an_autonumber_and_back(crm, number):
    with crm.customizing() as customizations:
        customizations.create_column("new_widget", "new_number", {"type": "String", "max_length": 100})
    texts = ["T{SEQNUM:1}", None]
    numbers = []
    for text in texts:
        with crm.customizing() as customizations:
            customizations.update_column("new_widget", "new_number", {"auto_number_format": text})
        numbers.append(number())
    assert numbers == ["T1000", None]
